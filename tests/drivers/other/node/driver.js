// mysql2 for Node: see tests/drivers/remote.py for the lines that come and go.
"use strict";
const mysql = require("mysql2");
const lines = require("readline").createInterface({ input: process.stdin });

const connections = new Map();
const answers = [];
const OPTIONS = { charset: "utf8mb4", dateStrings: true, supportBigNumbers: true, bigNumberStrings: true, jsonStrings: true };

const say = (reply) => process.stdout.write(JSON.stringify(reply) + "\n");

function read({ int, text, bytes, cell }) {
  if (int !== undefined) return Number(int);
  if (text !== undefined) return text;
  if (bytes !== undefined) return Buffer.from(bytes, "hex");
  return answers[cell[0]][cell[1]][cell[2]];
}

function shown(value) {
  if (value === null) return ["null", ""];
  if (Buffer.isBuffer(value)) return ["Buffer", value.toString("hex")];
  if (typeof value === "object") return [value.constructor.name, JSON.stringify(value)];
  return [typeof value, Object.is(value, -0) ? "-0" : String(value)];
}

function answer([result, fields]) {
  if (!Array.isArray(result)) return { answer: -1, affected: result.affectedRows, id: result.insertId };
  answers.push(result);
  return {
    answer: answers.length - 1,
    columns: fields.map((field) => [field.name, field.columnType, field.flags]),
    rows: result.map((row) => row.map(shown)),
  };
}

async function stream(connection, sql) {
  let ids = [];
  for await (const row of connection.connection.query({ sql, rowsAsArray: true }).stream({ highWaterMark: 100 })) {
    if (ids.push(row[0]) === 1000) { say({ ids }); ids = []; }
  }
  if (ids.length) say({ ids });
  return {};
}

async function run(request) {
  if (request.do === "connect") {
    const { host, port, user, password, database } = request;
    const ssl = request.tls ? { rejectUnauthorized: false } : undefined;
    const raw = mysql.createConnection({ host, port, user, password, database, ssl, ...OPTIONS });
    await new Promise((done, failed) => raw.connect((error) => (error ? failed(error) : done())));
    connections.set(request.on, raw.promise());
    return {};
  }
  const connection = connections.get(request.on);
  const values = (request.parameters || []).map(read);
  switch (request.do) {
    case "execute": return answer(await connection.query({ sql: request.sql, values, rowsAsArray: true }));
    case "prepared": return answer(await connection.execute({ sql: request.sql, values, rowsAsArray: true }));
    case "stream": return stream(connection, request.sql);
    case "begin": await connection.beginTransaction(); return {};
    case "commit": await connection.commit(); return {};
    case "rollback": await connection.rollback(); return {};
    case "close": connections.delete(request.on); await connection.end(); return {};
  }
  throw new Error(`unknown: ${request.do}`);
}

(async () => {
  for await (const line of lines) {
    try {
      say(await run(JSON.parse(line)));
    } catch (error) {
      say({ error: { kind: error.code || error.name, errno: error.sqlState ? error.errno : 0, sqlstate: error.sqlState, text: String(error) } });
    }
  }
})();
