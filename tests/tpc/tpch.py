"""The tables of TPC-H and rows for them, made by the rules of the specification (4.2) with a random source of our own.

What no query looks into (addresses, most of the comments) is shorter than the specification has it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, timedelta

NATIONS = (
    ("ALGERIA", 0), ("ARGENTINA", 1), ("BRAZIL", 1), ("CANADA", 1), ("EGYPT", 4), ("ETHIOPIA", 0), ("FRANCE", 3),
    ("GERMANY", 3), ("INDIA", 2), ("INDONESIA", 2), ("IRAN", 4), ("IRAQ", 4), ("JAPAN", 2), ("JORDAN", 4),
    ("KENYA", 0), ("MOROCCO", 0), ("MOZAMBIQUE", 0), ("PERU", 1), ("CHINA", 2), ("ROMANIA", 3), ("SAUDI ARABIA", 4),
    ("VIETNAM", 2), ("RUSSIA", 3), ("UNITED KINGDOM", 3), ("UNITED STATES", 1),
)  # fmt: skip
REGIONS = ("AFRICA", "AMERICA", "ASIA", "EUROPE", "MIDDLE EAST")
SEGMENTS = ("AUTOMOBILE", "BUILDING", "FURNITURE", "MACHINERY", "HOUSEHOLD")
PRIORITIES = ("1-URGENT", "2-HIGH", "3-MEDIUM", "4-NOT SPECIFIED", "5-LOW")
MODES = ("REG AIR", "AIR", "RAIL", "SHIP", "TRUCK", "MAIL", "FOB")
INSTRUCTIONS = ("DELIVER IN PERSON", "COLLECT COD", "NONE", "TAKE BACK RETURN")
TYPES = (
    ("STANDARD", "SMALL", "MEDIUM", "LARGE", "ECONOMY", "PROMO"),
    ("ANODIZED", "BURNISHED", "PLATED", "POLISHED", "BRUSHED"),
    ("TIN", "NICKEL", "BRASS", "STEEL", "COPPER"),
)
CONTAINERS = (("SM", "LG", "MED", "JUMBO", "WRAP"), ("CASE", "BOX", "BAG", "JAR", "PKG", "PACK", "CAN", "DRUM"))
COLOURS = (
    "almond", "antique", "azure", "beige", "blue", "brown", "chocolate", "coral", "cyan", "forest", "green", "grey",
    "honeydew", "ivory", "khaki", "lavender", "lime", "linen", "maroon", "mint", "navy", "olive", "orchid", "peach",
    "plum", "red", "rose", "salmon", "sienna", "sky", "snow", "steel", "tan", "thistle", "turquoise", "violet", "white",
)  # fmt: skip
WORDS = ("quickly", "final", "deposits", "sleep", "furiously", "ironic", "accounts", "above", "the", "even", "ideas")
FIRST_DAY, LAST_DAY, TODAY = date(1992, 1, 1), date(1998, 12, 31), date(1995, 6, 17)

TABLES = {
    "region": "r_regionkey INT PRIMARY KEY, r_name CHAR(25) NOT NULL, r_comment VARCHAR(152)",
    "nation": (
        "n_nationkey INT PRIMARY KEY, n_name CHAR(25) NOT NULL, n_regionkey INT NOT NULL, n_comment VARCHAR(152)"
    ),
    "supplier": (
        "s_suppkey INT PRIMARY KEY, s_name CHAR(25) NOT NULL, s_address VARCHAR(40) NOT NULL, s_nationkey INT NOT "
        "NULL, s_phone CHAR(15) NOT NULL, s_acctbal DECIMAL(15,2) NOT NULL, s_comment VARCHAR(101) NOT NULL"
    ),
    "part": (
        "p_partkey INT PRIMARY KEY, p_name VARCHAR(55) NOT NULL, p_mfgr CHAR(25) NOT NULL, p_brand CHAR(10) NOT "
        "NULL, p_type VARCHAR(25) NOT NULL, p_size INT NOT NULL, p_container CHAR(10) NOT NULL, p_retailprice "
        "DECIMAL(15,2) NOT NULL, p_comment VARCHAR(23) NOT NULL"
    ),
    "partsupp": (
        "ps_partkey INT NOT NULL, ps_suppkey INT NOT NULL, ps_availqty INT NOT NULL, ps_supplycost DECIMAL(15,2) "
        "NOT NULL, ps_comment VARCHAR(199) NOT NULL, PRIMARY KEY (ps_partkey, ps_suppkey)"
    ),
    "customer": (
        "c_custkey INT PRIMARY KEY, c_name VARCHAR(25) NOT NULL, c_address VARCHAR(40) NOT NULL, c_nationkey INT "
        "NOT NULL, c_phone CHAR(15) NOT NULL, c_acctbal DECIMAL(15,2) NOT NULL, c_mktsegment CHAR(10) NOT NULL, "
        "c_comment VARCHAR(117) NOT NULL"
    ),
    "orders": (
        "o_orderkey INT PRIMARY KEY, o_custkey INT NOT NULL, o_orderstatus CHAR(1) NOT NULL, o_totalprice "
        "DECIMAL(15,2) NOT NULL, o_orderdate DATE NOT NULL, o_orderpriority CHAR(15) NOT NULL, o_clerk CHAR(15) "
        "NOT NULL, o_shippriority INT NOT NULL, o_comment VARCHAR(79) NOT NULL"
    ),
    "lineitem": (
        "l_orderkey INT NOT NULL, l_partkey INT NOT NULL, l_suppkey INT NOT NULL, l_linenumber INT NOT NULL, "
        "l_quantity DECIMAL(15,2) NOT NULL, l_extendedprice DECIMAL(15,2) NOT NULL, l_discount DECIMAL(15,2) NOT "
        "NULL, l_tax DECIMAL(15,2) NOT NULL, l_returnflag CHAR(1) NOT NULL, l_linestatus CHAR(1) NOT NULL, "
        "l_shipdate DATE NOT NULL, l_commitdate DATE NOT NULL, l_receiptdate DATE NOT NULL, l_shipinstruct "
        "CHAR(25) NOT NULL, l_shipmode CHAR(10) NOT NULL, l_comment VARCHAR(44) NOT NULL, PRIMARY KEY "
        "(l_orderkey, l_linenumber)"
    ),
}

Row = tuple[object, ...]


class Rows:
    """All rows at a scale factor; the same ones in every run."""

    def __init__(self, scale: float, seed: int = 22) -> None:
        self.random = random.Random(seed)
        self.suppliers = max(100, round(10_000 * scale))  # fewer would supply a part twice
        self.parts = round(200_000 * scale)
        self.customers = round(150_000 * scale)
        self.orders = round(1_500_000 * scale)

    def tables(self) -> dict[str, list[Row]]:
        orders, lines = self._orders()
        return {
            "region": [(n, name, self._words(5)) for n, name in enumerate(REGIONS)],
            "nation": [(n, name, region, self._words(5)) for n, (name, region) in enumerate(NATIONS)],
            "supplier": [self._supplier(n) for n in range(1, self.suppliers + 1)],
            "part": [self._part(n) for n in range(1, self.parts + 1)],
            "partsupp": list(self._partsupp()),
            "customer": [self._customer(n) for n in range(1, self.customers + 1)],
            "orders": orders,
            "lineitem": lines,
        }

    def _words(self, count: int) -> str:
        return " ".join(self.random.choices(WORDS, k=count))

    def _phone(self, nation: int) -> str:
        r = self.random
        return f"{nation + 10}-{r.randint(100, 999)}-{r.randint(100, 999)}-{r.randint(1000, 9999)}"

    def _money(self, low: int, high: int) -> str:
        """``low`` to ``high`` hundredths."""
        return _decimal(self.random.randint(low, high))

    def _supplier(self, number: int) -> Row:
        nation = self.random.randrange(25)
        said = {3: "Customer slow Complaints", 7: "Customer happy Recommends"}.get(number % 20, self._words(4))
        name, phone, balance = f"Supplier#{number:09}", self._phone(nation), self._money(-99999, 999999)
        return number, name, self._words(2), nation, phone, balance, said

    def _part(self, number: int) -> Row:
        r = self.random
        maker = r.randint(1, 5)
        kind = " ".join(r.choice(part) for part in TYPES)
        container = " ".join(r.choice(part) for part in CONTAINERS)
        name, brand = " ".join(r.sample(COLOURS, 5)), f"Brand#{maker}{r.randint(1, 5)}"
        price = _decimal(_retail_price(number))
        return number, name, f"Manufacturer#{maker}", brand, kind, r.randint(1, 50), container, price, self._words(2)

    def _supplier_of(self, part: int, which: int) -> int:
        s = self.suppliers
        return (part + which * (s // 4 + (part - 1) // s)) % s + 1

    def _partsupp(self) -> Iterator[Row]:
        for part in range(1, self.parts + 1):
            for which in range(4):
                quantity, cost = self.random.randint(1, 9999), self._money(100, 100000)
                yield part, self._supplier_of(part, which), quantity, cost, self._words(3)

    def _customer(self, number: int) -> Row:
        nation = self.random.randrange(25)
        name, segment = f"Customer#{number:09}", self.random.choice(SEGMENTS)
        balance = self._money(-99999, 999999)
        return number, name, self._words(2), nation, self._phone(nation), balance, segment, self._words(4)

    def _orders(self) -> tuple[list[Row], list[Row]]:
        orders: list[Row] = []
        lines: list[Row] = []
        for number in range(self.orders):
            key = number // 8 * 32 + number % 8 + 1  # the specification's sparse keys
            order, own = self._order(key)
            orders.append(order)
            lines += own
        return orders, lines

    def _order(self, key: int) -> tuple[Row, list[Row]]:
        r = self.random
        customer = r.randint(1, self.customers)
        customer -= customer % 3 == 0  # a third of the customers orders nothing
        day = FIRST_DAY + timedelta(days=r.randint(0, (LAST_DAY - FIRST_DAY).days - 151))
        lines = [self._line(key, at, day) for at in range(1, r.randint(1, 7) + 1)]
        open_lines = sum(line[9] == "O" for line in lines)
        status = "O" if open_lines == len(lines) else "P" if open_lines else "F"
        total = sum(_charged(line) for line in lines)
        said = "special packages requests" if r.random() < 0.02 else self._words(5)
        clerk, price = f"Clerk#{r.randint(1, 1000):09}", _decimal(total)
        return (key, customer, status, price, day, r.choice(PRIORITIES), clerk, 0, said), lines

    def _line(self, key: int, number: int, ordered: date) -> Row:
        r = self.random
        part, quantity = r.randint(1, self.parts), r.randint(1, 50)
        shipped = ordered + timedelta(days=r.randint(1, 121))
        committed = ordered + timedelta(days=r.randint(30, 90))
        received = shipped + timedelta(days=r.randint(1, 30))
        flag = r.choice("RA") if received <= TODAY else "N"
        status = "O" if shipped > TODAY else "F"
        price = _decimal(quantity * _retail_price(part))
        supplier, discount, tax = self._supplier_of(part, r.randrange(4)), r.randint(0, 10), r.randint(0, 8)
        return (key, part, supplier, number, quantity, price, _decimal(discount), _decimal(tax), flag, status, shipped,
                committed, received, r.choice(INSTRUCTIONS), r.choice(MODES), self._words(3))  # fmt: skip


def _decimal(hundredths: int) -> str:
    return f"{'-' if hundredths < 0 else ''}{abs(hundredths) // 100}.{abs(hundredths) % 100:02}"


def _retail_price(part: int) -> int:
    """In hundredths."""
    return 90000 + (part // 10) % 20001 + 100 * (part % 1000)


def _charged(line: Row) -> int:
    """What a line costs with discount and tax, in hundredths."""
    price, discount, tax = (round(float(str(line[at])) * 100) for at in (5, 6, 7))
    return price * (100 - discount) * (100 + tax) // 10000
