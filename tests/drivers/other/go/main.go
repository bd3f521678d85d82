// go-sql-driver/mysql: see tests/drivers/remote.py for the lines that come and go.
package main

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"
)

type parameter struct {
	Int   *string `json:"int"`
	Text  *string `json:"text"`
	Bytes *string `json:"bytes"`
	Cell  []int   `json:"cell"`
}

type request struct {
	Do, Host, User, Password, Database, SQL string
	On, Port                                int
	TLS                                     bool
	Parameters                              []parameter
}

type reply map[string]any

// One connection of a pool of one: with placeholders in the text, or prepared on the server.
type client struct {
	pools       map[bool]*sql.DB
	statement   *sql.Stmt
	connections map[bool]*sql.Conn
	transaction *sql.Tx
}

var (
	everything = context.Background()
	answers    [][][]any
	clients    = map[int]*client{}
	out        = bufio.NewWriter(os.Stdout)
)

func say(message reply) {
	line, err := json.Marshal(message)
	if err != nil {
		panic(err)
	}
	out.Write(line)
	out.WriteByte('\n')
	out.Flush()
}

func open(asked request) (*client, error) {
	made := &client{pools: map[bool]*sql.DB{}, connections: map[bool]*sql.Conn{}}
	for _, inText := range []bool{true, false} {
		config := mysql.NewConfig()
		config.Net, config.Addr = "tcp", fmt.Sprintf("%s:%d", asked.Host, asked.Port)
		config.User, config.Passwd, config.DBName = asked.User, asked.Password, asked.Database
		config.InterpolateParams = inText
		config.MaxAllowedPacket = 64 << 20
		if asked.TLS {
			config.TLSConfig = "skip-verify"
		}
		pool, err := sql.Open("mysql", config.FormatDSN())
		if err != nil {
			return nil, err
		}
		made.pools[inText] = pool
		if made.connections[inText], err = pool.Conn(everything); err != nil {
			return nil, err
		}
	}
	return made, nil
}

func (c *client) close() error {
	if c.transaction != nil {
		c.transaction.Rollback()
	}
	for inText, connection := range c.connections {
		connection.Close()
		c.pools[inText].Close()
	}
	return nil
}

func read(given []parameter) []any {
	var values []any
	for _, each := range given {
		switch {
		case each.Int != nil:
			number, _ := strconv.ParseInt(*each.Int, 10, 64)
			values = append(values, number)
		case each.Text != nil:
			values = append(values, *each.Text)
		case each.Bytes != nil:
			value, _ := hex.DecodeString(*each.Bytes)
			values = append(values, value)
		default:
			values = append(values, answers[each.Cell[0]][each.Cell[1]][each.Cell[2]])
		}
	}
	return values
}

func shown(value any, column *sql.ColumnType) [2]string {
	if data, ok := value.([]byte); ok {
		kind := column.DatabaseTypeName()
		if strings.HasSuffix(kind, "BLOB") || strings.HasSuffix(kind, "BINARY") || kind == "BIT" || kind == "GEOMETRY" {
			return [2]string{"[]uint8 " + kind, hex.EncodeToString(data)}
		}
		return [2]string{"[]uint8 " + kind, string(data)}
	}
	return [2]string{fmt.Sprintf("%T", value), fmt.Sprint(value)}
}

func (c *client) rows(asked request, inText bool) (*sql.Rows, error) {
	if c.transaction != nil {
		return c.transaction.Query(asked.SQL, read(asked.Parameters)...)
	}
	if inText {
		return c.connections[true].QueryContext(everything, asked.SQL, read(asked.Parameters)...)
	}
	statement, err := c.connections[false].PrepareContext(everything, asked.SQL)
	if err != nil {
		return nil, err
	}
	c.statement = statement
	return statement.Query(read(asked.Parameters)...)
}

func (c *client) change(asked request, inText bool) (reply, error) {
	var result sql.Result
	var err error
	if c.transaction != nil {
		result, err = c.transaction.Exec(asked.SQL, read(asked.Parameters)...)
	} else if inText {
		result, err = c.connections[true].ExecContext(everything, asked.SQL, read(asked.Parameters)...)
	} else {
		var statement *sql.Stmt
		if statement, err = c.connections[false].PrepareContext(everything, asked.SQL); err != nil {
			return nil, err
		}
		defer statement.Close()
		result, err = statement.Exec(read(asked.Parameters)...)
	}
	if err != nil {
		return nil, err
	}
	affected, _ := result.RowsAffected()
	id, _ := result.LastInsertId()
	return reply{"answer": -1, "affected": affected, "id": id}, nil
}

func (c *client) run(asked request, inText bool) (reply, error) {
	first := strings.ToUpper(strings.SplitN(strings.TrimSpace(asked.SQL), " ", 2)[0])
	if first != "SELECT" && first != "SHOW" {
		return c.change(asked, inText)
	}
	rows, err := c.rows(asked, inText)
	if c.statement != nil {
		defer func() { c.statement.Close(); c.statement = nil }()
	}
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	types, err := rows.ColumnTypes()
	if err != nil {
		return nil, err
	}
	var columns, told []any
	for _, column := range types {
		nullable, _ := column.Nullable()
		columns = append(columns, []any{column.Name(), column.DatabaseTypeName(), nullable})
	}
	var kept [][]any
	for rows.Next() {
		row, targets := make([]any, len(types)), make([]any, len(types))
		for at := range row {
			targets[at] = &row[at]
		}
		if err := rows.Scan(targets...); err != nil {
			return nil, err
		}
		var cells [][2]string
		for at, value := range row {
			cells = append(cells, shown(value, types[at]))
		}
		kept, told = append(kept, row), append(told, cells)
	}
	answers = append(answers, kept)
	if told == nil {
		told = []any{}
	}
	return reply{"answer": len(answers) - 1, "columns": columns, "rows": told}, rows.Err()
}

func (c *client) stream(asked request) (reply, error) {
	rows, err := c.rows(asked, true)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		var label, amount sql.RawBytes
		if err := rows.Scan(&id, &label, &amount); err != nil {
			return nil, err
		}
		if ids = append(ids, id); len(ids) == 1000 {
			say(reply{"ids": ids})
			ids = nil
		}
	}
	if len(ids) > 0 {
		say(reply{"ids": ids})
	}
	return reply{}, rows.Err()
}

func answer(asked request) (reply, error) {
	if asked.Do == "connect" {
		made, err := open(asked)
		clients[asked.On] = made
		return reply{}, err
	}
	c := clients[asked.On]
	var err error
	switch asked.Do {
	case "execute":
		return c.run(asked, true)
	case "prepared":
		return c.run(asked, false)
	case "stream":
		return c.stream(asked)
	case "begin":
		c.transaction, err = c.connections[true].BeginTx(everything, nil)
	case "commit":
		err = c.transaction.Commit()
		c.transaction = nil
	case "rollback":
		err = c.transaction.Rollback()
		c.transaction = nil
	case "close":
		err = c.close()
	}
	return reply{}, err
}

func main() {
	lines := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var asked request
		if err := json.Unmarshal(line, &asked); err != nil {
			panic(err)
		}
		message, err := answer(asked)
		if err != nil {
			told := reply{"kind": fmt.Sprintf("%T", err), "errno": 0, "sqlstate": nil, "text": err.Error()}
			var server *mysql.MySQLError
			if errors.As(err, &server) {
				told = reply{"kind": "MySQLError", "errno": server.Number, "sqlstate": string(server.SQLState[:]), "text": server.Message}
			}
			message = reply{"error": told}
		}
		say(message)
	}
}
