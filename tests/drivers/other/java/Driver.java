// MySQL Connector/J: see tests/drivers/remote.py for the lines that come and go.
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.json.JSONArray;
import org.json.JSONObject;

public class Driver {
    static final PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    static final Map<Integer, Connection[]> connections = new HashMap<>();
    static final List<List<Object[]>> answers = new ArrayList<>();

    static void say(JSONObject reply) {
        out.println(reply);
        out.flush();
    }

    /** Placeholders filled in by the driver, or prepared on the server. */
    static Connection[] connect(JSONObject asked) throws SQLException {
        Connection[] both = new Connection[2];
        for (int prepared = 0; prepared < 2; prepared++) {
            Properties properties = new Properties();
            properties.setProperty("user", asked.getString("user"));
            properties.setProperty("password", asked.getString("password"));
            properties.setProperty("sslMode", asked.getBoolean("tls") ? "REQUIRED" : "DISABLED");
            properties.setProperty("allowPublicKeyRetrieval", "true");
            properties.setProperty("useServerPrepStmts", String.valueOf(prepared == 1));
            properties.setProperty("characterEncoding", "UTF-8");
            properties.setProperty("connectionTimeZone", "UTC");
            String url = "jdbc:mysql://" + asked.getString("host") + ":" + asked.getInt("port") + "/" + asked.getString("database");
            both[prepared] = DriverManager.getConnection(url, properties);
        }
        return both;
    }

    static Object read(JSONObject given) {
        if (given.has("int")) return Long.valueOf(given.getString("int"));
        if (given.has("text")) return given.getString("text");
        if (given.has("bytes")) return HexFormat.of().parseHex(given.getString("bytes"));
        JSONArray cell = given.getJSONArray("cell");
        return answers.get(cell.getInt(0)).get(cell.getInt(1))[cell.getInt(2)];
    }

    static JSONArray shown(Object value) {
        if (value == null) return new JSONArray(List.of("null", ""));
        if (value instanceof byte[] bytes) return new JSONArray(List.of("byte[]", HexFormat.of().formatHex(bytes)));
        return new JSONArray(List.of(value.getClass().getSimpleName(), value.toString()));
    }

    static JSONObject run(Connection connection, JSONObject asked) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement(asked.getString("sql"), PreparedStatement.RETURN_GENERATED_KEYS)) {
            JSONArray parameters = asked.getJSONArray("parameters");
            for (int at = 0; at < parameters.length(); at++) statement.setObject(at + 1, read(parameters.getJSONObject(at)));
            if (!statement.execute()) {
                return new JSONObject().put("answer", -1).put("affected", statement.getUpdateCount());
            }
            try (ResultSet found = statement.getResultSet()) {
                return answer(found);
            }
        }
    }

    static JSONObject answer(ResultSet found) throws SQLException {
        ResultSetMetaData about = found.getMetaData();
        JSONArray columns = new JSONArray(), rows = new JSONArray();
        for (int at = 1; at <= about.getColumnCount(); at++) {
            columns.put(new JSONArray(List.of(about.getColumnLabel(at), about.getColumnTypeName(at), about.isNullable(at),
                about.getPrecision(at), about.getScale(at))));
        }
        List<Object[]> kept = new ArrayList<>();
        while (found.next()) {
            Object[] row = new Object[about.getColumnCount()];
            JSONArray cells = new JSONArray();
            for (int at = 0; at < row.length; at++) {
                row[at] = found.getObject(at + 1);
                cells.put(shown(row[at]));
            }
            kept.add(row);
            rows.put(cells);
        }
        answers.add(kept);
        return new JSONObject().put("answer", answers.size() - 1).put("columns", columns).put("rows", rows);
    }

    static JSONObject stream(Connection connection, String sql) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement(sql, ResultSet.TYPE_FORWARD_ONLY, ResultSet.CONCUR_READ_ONLY)) {
            statement.setFetchSize(Integer.MIN_VALUE);
            JSONArray ids = new JSONArray();
            try (ResultSet found = statement.executeQuery()) {
                while (found.next()) {
                    ids.put(found.getLong(1));
                    if (ids.length() == 1000) {
                        say(new JSONObject().put("ids", ids));
                        ids = new JSONArray();
                    }
                }
            }
            if (!ids.isEmpty()) say(new JSONObject().put("ids", ids));
        }
        return new JSONObject();
    }

    static JSONObject handle(JSONObject asked) throws SQLException {
        int on = asked.getInt("on");
        if (asked.getString("do").equals("connect")) {
            connections.put(on, connect(asked));
            return new JSONObject();
        }
        Connection[] both = connections.get(on);
        switch (asked.getString("do")) {
            case "execute": return run(both[0], asked);
            case "prepared": return run(both[1], asked);
            case "stream": return stream(both[0], asked.getString("sql"));
            case "begin": both[0].setAutoCommit(false); break;
            case "commit": both[0].commit(); both[0].setAutoCommit(true); break;
            case "rollback": both[0].rollback(); both[0].setAutoCommit(true); break;
            default:
                connections.remove(on);
                for (Connection each : both) each.abort(Runnable::run);
        }
        return new JSONObject();
    }

    public static void main(String[] arguments) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            try {
                say(handle(new JSONObject(line)));
            } catch (Exception error) {
                JSONObject told = new JSONObject().put("kind", error.getClass().getSimpleName()).put("errno", 0).put("text", error.toString());
                if (error instanceof SQLException sql) told.put("errno", sql.getErrorCode()).put("sqlstate", sql.getSQLState());
                say(new JSONObject().put("error", told));
            }
        }
    }
}
