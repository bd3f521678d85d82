"""The tables of TPC-C, small, and its five transactions as the specification describes them (1.3, 2.4 to 2.8)."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

DISTRICTS, CUSTOMERS, ITEMS, ORDERS = 3, 12, 60, 12
MOMENT = "2024-05-05 12:00:00"
SYLLABLES = ("BAR", "OUGHT", "ABLE", "PRI", "PRES", "ESE", "ANTI", "CALLY", "ATION", "EING")

TABLES = {
    "warehouse": (
        "w_id INT PRIMARY KEY, w_name VARCHAR(10), w_street_1 VARCHAR(20), w_city VARCHAR(20), w_state CHAR(2), "
        "w_zip CHAR(9), w_tax DECIMAL(4,4), w_ytd DECIMAL(12,2)"
    ),
    "district": (
        "d_id INT NOT NULL, d_w_id INT NOT NULL, d_name VARCHAR(10), d_street_1 VARCHAR(20), d_city VARCHAR(20), "
        "d_tax DECIMAL(4,4), d_ytd DECIMAL(12,2), d_next_o_id INT, PRIMARY KEY (d_w_id, d_id)"
    ),
    "customer": (
        "c_id INT NOT NULL, c_d_id INT NOT NULL, c_w_id INT NOT NULL, c_first VARCHAR(16), c_middle CHAR(2), "
        "c_last VARCHAR(16), c_credit CHAR(2), c_credit_lim DECIMAL(12,2), c_discount DECIMAL(4,4), c_balance "
        "DECIMAL(12,2), c_ytd_payment DECIMAL(12,2), c_payment_cnt INT, c_delivery_cnt INT, c_data VARCHAR(500), "
        "PRIMARY KEY (c_w_id, c_d_id, c_id), KEY (c_w_id, c_d_id, c_last, c_first)"
    ),
    "history": (
        "h_c_id INT, h_c_d_id INT, h_c_w_id INT, h_d_id INT, h_w_id INT NOT NULL, h_date DATETIME, h_amount "
        "DECIMAL(6,2), h_data VARCHAR(24)"
    ),
    "new_order": (
        "no_o_id INT NOT NULL, no_d_id INT NOT NULL, no_w_id INT NOT NULL, PRIMARY KEY (no_w_id, no_d_id, no_o_id)"
    ),
    "orders": (
        "o_id INT NOT NULL, o_d_id INT NOT NULL, o_w_id INT NOT NULL, o_c_id INT, o_entry_d DATETIME, "
        "o_carrier_id INT, o_ol_cnt INT, o_all_local INT, PRIMARY KEY (o_w_id, o_d_id, o_id), KEY (o_w_id, "
        "o_d_id, o_c_id)"
    ),
    "order_line": (
        "ol_o_id INT NOT NULL, ol_d_id INT NOT NULL, ol_w_id INT NOT NULL, ol_number INT NOT NULL, ol_i_id INT, "
        "ol_supply_w_id INT, ol_delivery_d DATETIME, ol_quantity INT, ol_amount DECIMAL(6,2), ol_dist_info "
        "CHAR(24), PRIMARY KEY (ol_w_id, ol_d_id, ol_o_id, ol_number)"
    ),
    "item": "i_id INT PRIMARY KEY, i_im_id INT, i_name VARCHAR(24), i_price DECIMAL(5,2), i_data VARCHAR(50)",
    "stock": (
        "s_i_id INT NOT NULL, s_w_id INT NOT NULL, s_quantity INT, s_dist_01 CHAR(24), s_ytd INT, s_order_cnt "
        "INT, s_remote_cnt INT, s_data VARCHAR(50), PRIMARY KEY (s_w_id, s_i_id)"
    ),
}

Row = tuple[object, ...]
Ask = Callable[[str], Sequence[Sequence[Any]]]  # runs a statement and gives the rows of its answer


def last_name(number: int) -> str:
    """4.3.2.3"""
    return SYLLABLES[number // 100] + SYLLABLES[number // 10 % 10] + SYLLABLES[number % 10]


def rows(warehouses: int, seed: int = 5) -> dict[str, list[Row]]:
    """The initial population; new orders wait for the last third of each district's orders."""
    r = random.Random(seed)
    found: dict[str, list[Row]] = {name: [] for name in TABLES}
    found["item"] = [(i, i, f"item {i}", f"{r.randint(100, 9999) / 100:.2f}", "data") for i in range(1, ITEMS + 1)]
    for w in range(1, warehouses + 1):
        found["warehouse"].append(
            (w, f"W{w}", "street", "city", "ST", "123411111", f"0.{r.randint(0, 2000):04}", "9000.00")
        )
        found["stock"] += [(i, w, r.randint(10, 100), "d" * 24, 0, 0, 0, "data") for i in range(1, ITEMS + 1)]
        for d in range(1, DISTRICTS + 1):
            tax = f"0.{r.randint(0, 2000):04}"
            found["district"].append((d, w, f"D{d}", "street", "city", tax, "3000.00", ORDERS + 1))
            _population(r, found, w, d)
    return found


def _population(r: random.Random, found: dict[str, list[Row]], w: int, d: int) -> None:
    for c in range(1, CUSTOMERS + 1):
        credit, discount = r.choice(("GC", "GC", "BC")), f"0.{r.randint(0, 5000):04}"
        name = last_name(c % 5)
        first, limit = f"first{r.randint(0, 99)}", "50000.00"
        found["customer"].append(
            (c, d, w, first, "OE", name, credit, limit, discount, "-10.00", "10.00", 1, 0, "some data")
        )
        found["history"].append((c, d, w, d, w, MOMENT, "10.00", "initial"))
    for o, customer in enumerate(r.sample(range(1, CUSTOMERS + 1), ORDERS), 1):
        new = o > ORDERS * 2 // 3
        count = r.randint(2, 5)
        found["orders"].append((o, d, w, customer, MOMENT, "\\N" if new else r.randint(1, 10), count, 1))
        if new:
            found["new_order"].append((o, d, w))
        for number in range(1, count + 1):
            amount = f"{r.randint(1, 99999) / 100:.2f}" if new else "0.00"
            found["order_line"].append(
                (o, d, w, number, r.randint(1, ITEMS), w, "\\N" if new else MOMENT, 5, amount, "d" * 24)
            )


@dataclass
class Terminal:
    """``ask`` runs statements; the random source decides everything else, so that two terminals do the same."""

    ask: Ask
    random: random.Random
    warehouses: int

    def transaction(self) -> None:
        """One of the five, in the specification's proportions."""
        kinds = (self.new_order, self.payment, self.order_status, self.delivery, self.stock_level)
        self.random.choices(kinds, (45, 43, 4, 4, 4))[0]()

    def _home(self) -> tuple[int, int]:
        return self.random.randint(1, self.warehouses), self.random.randint(1, DISTRICTS)

    def _elsewhere(self, w: int, percent: int) -> int:
        others = [n for n in range(1, self.warehouses + 1) if n != w]
        return self.random.choice(others) if self.random.randrange(100) < percent else w

    def new_order(self) -> None:
        """2.4; one in a hundred names an item that does not exist, and is rolled back."""
        r, ask = self.random, self.ask
        w, d = self._home()
        c, fails = r.randint(1, CUSTOMERS), r.randrange(100) < 10
        lines = [(r.randint(1, ITEMS), self._elsewhere(w, 10), r.randint(1, 10)) for _ in range(r.randint(2, 6))]
        ask("BEGIN")
        ask(f"SELECT c_discount, c_last, c_credit, w_tax FROM customer, warehouse "
            f"WHERE w_id = {w} AND c_w_id = w_id AND c_d_id = {d} AND c_id = {c}")  # fmt: skip
        order = ask(f"SELECT d_next_o_id, d_tax FROM district WHERE d_id = {d} AND d_w_id = {w} FOR UPDATE")[0][0]
        ask(f"UPDATE district SET d_next_o_id = d_next_o_id + 1 WHERE d_id = {d} AND d_w_id = {w}")
        local = int(all(supplier == w for _, supplier, _ in lines))
        ask(f"INSERT INTO orders (o_id, o_d_id, o_w_id, o_c_id, o_entry_d, o_ol_cnt, o_all_local) "
            f"VALUES ({order}, {d}, {w}, {c}, '{MOMENT}', {len(lines)}, {local})")  # fmt: skip
        ask(f"INSERT INTO new_order (no_o_id, no_d_id, no_w_id) VALUES ({order}, {d}, {w})")
        for number, (item, supplier, quantity) in enumerate(lines, 1):
            last = number == len(lines)
            found = ask(f"SELECT i_price, i_name, i_data FROM item WHERE i_id = {-1 if fails and last else item}")
            if not found:
                ask("ROLLBACK")
                return
            self._line(order, d, w, number, item, supplier, quantity, found[0][0])
        ask("COMMIT")

    def _line(
        self, order: Any, d: int, w: int, number: int, item: int, supplier: int, quantity: int, price: Any
    ) -> None:
        where = f"WHERE s_i_id = {item} AND s_w_id = {supplier}"
        stock = self.ask(f"SELECT s_quantity, s_data, s_dist_01 FROM stock {where} FOR UPDATE")
        left = int(stock[0][0]) - quantity
        left += 91 if left < 10 else 0
        self.ask(f"UPDATE stock SET s_quantity = {left}, s_ytd = s_ytd + {quantity}, s_order_cnt = s_order_cnt + 1, "
                 f"s_remote_cnt = s_remote_cnt + {int(supplier != w)} {where}")  # fmt: skip
        self.ask(f"INSERT INTO order_line (ol_o_id, ol_d_id, ol_w_id, ol_number, ol_i_id, ol_supply_w_id, ol_quantity, "
                 f"ol_amount, ol_dist_info) VALUES ({order}, {d}, {w}, {number}, {item}, {supplier}, {quantity}, "
                 f"{quantity} * {price}, '{stock[0][2]}')")  # fmt: skip

    def _customer(self, w: int, d: int, columns: str) -> tuple[int, Sequence[Any]]:
        """By last name in 60 of 100 cases: the one in the middle, by first name."""
        r = self.random
        if r.randrange(100) < 60:
            found = self.ask(f"SELECT c_id, {columns} FROM customer WHERE c_last = '{last_name(r.randint(0, 4))}' AND "
                             f"c_d_id = {d} AND c_w_id = {w} ORDER BY c_first, c_id")  # fmt: skip
            return int(found[len(found) // 2][0]), found[len(found) // 2][1:]
        c = r.randint(1, CUSTOMERS)
        return c, self.ask(f"SELECT {columns} FROM customer WHERE c_w_id = {w} AND c_d_id = {d} AND c_id = {c}")[0]

    def payment(self) -> None:
        """2.5; 15 of 100 customers pay at a warehouse that is not theirs."""
        r, ask = self.random, self.ask
        w, d = self._home()
        cw, cd = self._elsewhere(w, 15), r.randint(1, DISTRICTS)
        amount = f"{r.randint(100, 500000) / 100:.2f}"
        ask("BEGIN")
        ask(f"UPDATE warehouse SET w_ytd = w_ytd + {amount} WHERE w_id = {w}")
        warehouse = ask(f"SELECT w_street_1, w_city, w_state, w_zip, w_name FROM warehouse WHERE w_id = {w}")[0][4]
        ask(f"UPDATE district SET d_ytd = d_ytd + {amount} WHERE d_w_id = {w} AND d_id = {d}")
        district = ask(f"SELECT d_street_1, d_city, d_name FROM district WHERE d_w_id = {w} AND d_id = {d}")[0][2]
        c, values = self._customer(cw, cd, "c_credit, c_balance, c_data")
        data = f", c_data = LEFT(CONCAT('{c} {cd} {cw} {d} {w} {amount} ', c_data), 500)" if values[0] == "BC" else ""
        ask(f"UPDATE customer SET c_balance = c_balance - {amount}, c_ytd_payment = c_ytd_payment + {amount}, "
            f"c_payment_cnt = c_payment_cnt + 1{data} "
            f"WHERE c_w_id = {cw} AND c_d_id = {cd} AND c_id = {c}")  # fmt: skip
        ask(
            f"INSERT INTO history VALUES ({c}, {cd}, {cw}, {d}, {w}, '{MOMENT}', {amount}, '{warehouse}    {district}')"
        )
        ask("COMMIT")

    def order_status(self) -> None:
        """2.6"""
        ask = self.ask
        w, d = self._home()
        ask("BEGIN")
        c, _ = self._customer(w, d, "c_balance, c_first, c_middle, c_last")
        orders = ask(f"SELECT o_id, o_carrier_id, o_entry_d FROM orders WHERE o_w_id = {w} AND o_d_id = {d} AND "
                     f"o_c_id = {c} ORDER BY o_id DESC LIMIT 1")  # fmt: skip
        for order in orders:
            ask(f"SELECT ol_i_id, ol_supply_w_id, ol_quantity, ol_amount, ol_delivery_d FROM order_line "
                f"WHERE ol_w_id = {w} AND ol_d_id = {d} AND ol_o_id = {order[0]} ORDER BY ol_number")  # fmt: skip
        ask("COMMIT")

    def delivery(self) -> None:
        """2.7"""
        ask = self.ask
        w, carrier = self._home()[0], self.random.randint(1, 10)
        ask("BEGIN")
        for d in range(1, DISTRICTS + 1):
            oldest = ask(f"SELECT MIN(no_o_id) FROM new_order WHERE no_d_id = {d} AND no_w_id = {w}")[0][0]
            if oldest is None:
                continue
            ask(f"DELETE FROM new_order WHERE no_o_id = {oldest} AND no_d_id = {d} AND no_w_id = {w}")
            where = f"WHERE o_id = {oldest} AND o_d_id = {d} AND o_w_id = {w}"
            c = ask(f"SELECT o_c_id FROM orders {where}")[0][0]
            ask(f"UPDATE orders SET o_carrier_id = {carrier} {where}")
            lines = f"WHERE ol_o_id = {oldest} AND ol_d_id = {d} AND ol_w_id = {w}"
            ask(f"UPDATE order_line SET ol_delivery_d = '{MOMENT}' {lines}")
            total = ask(f"SELECT SUM(ol_amount) FROM order_line {lines}")[0][0]
            ask(f"UPDATE customer SET c_balance = c_balance + {total}, c_delivery_cnt = c_delivery_cnt + 1 "
                f"WHERE c_id = {c} AND c_d_id = {d} AND c_w_id = {w}")  # fmt: skip
        ask("COMMIT")

    def stock_level(self) -> None:
        """2.8"""
        w, d = self._home()
        threshold = self.random.randint(10, 60)
        following = int(self.ask(f"SELECT d_next_o_id FROM district WHERE d_w_id = {w} AND d_id = {d}")[0][0])
        self.ask(f"SELECT COUNT(DISTINCT s_i_id) FROM order_line, stock WHERE ol_w_id = {w} AND ol_d_id = {d} AND "
                 f"ol_o_id < {following} AND ol_o_id >= {following - 20} AND s_w_id = {w} AND s_i_id = ol_i_id AND "
                 f"s_quantity < {threshold}")  # fmt: skip
