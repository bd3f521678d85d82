<?php
// PHP's mysqli: see tests/drivers/remote.py for the lines that come and go.
mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
ini_set('memory_limit', '1G');

$connections = [];
$answers = [];

function say(array $reply): void
{
    echo json_encode((object) $reply, JSON_THROW_ON_ERROR | JSON_INVALID_UTF8_SUBSTITUTE), "\n";
}

function read_value(array $given): mixed
{
    global $answers;
    if (isset($given['int'])) return (int) $given['int'];
    if (isset($given['text'])) return $given['text'];
    if (isset($given['bytes'])) return hex2bin($given['bytes']);
    [$answer, $row, $column] = $given['cell'];
    return $answers[$answer][$row][$column];
}

function shown(mixed $value, object $column): array
{
    if (is_string($value) && $column->charsetnr === 63 && in_array($column->type, [16, 249, 250, 251, 252, 253, 254, 255])) {
        return ['binary', bin2hex($value)];
    }
    return [gettype($value), is_float($value) ? var_export($value, true) : (string) $value];
}

function answer(mysqli $connection, mysqli_result|bool $result): array
{
    global $answers;
    if (is_bool($result)) {
        return ['answer' => -1, 'affected' => $connection->affected_rows, 'id' => $connection->insert_id];
    }
    $fields = $result->fetch_fields();
    $rows = $result->fetch_all(MYSQLI_NUM);
    $answers[] = $rows;
    return [
        'answer' => count($answers) - 1,
        'columns' => array_map(fn ($field) => [$field->name, $field->type, $field->flags], $fields),
        'rows' => array_map(fn ($row) => array_map('shown', $row, $fields), $rows),
    ];
}

/** The statement with its values in the text, as mysqli has no placeholders outside of prepared statements. */
function filled(mysqli $connection, string $sql, array $values): string
{
    $parts = explode('?', $sql);
    $text = array_shift($parts);
    foreach ($parts as $at => $part) {
        $value = $values[$at];
        $quoted = is_string($value) ? "'" . $connection->real_escape_string($value) . "'" : var_export($value, true);
        $binary = is_string($value) && !preg_match('//u', $value) ? '_binary' : '';
        $text .= $binary . $quoted . $part;
    }
    return $text;
}

function stream(mysqli $connection, string $sql): array
{
    $ids = [];
    $result = $connection->query($sql, MYSQLI_USE_RESULT);
    while ($row = $result->fetch_row()) {
        $ids[] = (int) $row[0];
        if (count($ids) === 1000) {
            say(['ids' => $ids]);
            $ids = [];
        }
    }
    if ($ids) say(['ids' => $ids]);
    return [];
}

function connect(array $asked): mysqli
{
    $connection = mysqli_init();
    $flags = 0;
    if ($asked['tls']) {
        $connection->ssl_set(null, null, null, null, null);
        $flags = MYSQLI_CLIENT_SSL | MYSQLI_CLIENT_SSL_DONT_VERIFY_SERVER_CERT;
    }
    $connection->real_connect(
        $asked['host'], $asked['user'], $asked['password'], $asked['database'], $asked['port'], null, $flags
    );
    $connection->set_charset('utf8mb4');
    return $connection;
}

function run(array $asked): array
{
    global $connections;
    if ($asked['do'] === 'connect') {
        $connections[$asked['on']] = connect($asked);
        return [];
    }
    $connection = $connections[$asked['on']];
    $values = array_map('read_value', $asked['parameters'] ?? []);
    switch ($asked['do']) {
        case 'execute':
            return answer($connection, $connection->query(filled($connection, $asked['sql'], $values)));
        case 'prepared':
            $statement = $connection->prepare($asked['sql']);
            $statement->execute($values ?: null);
            return answer($connection, $statement->get_result());
        case 'stream':
            return stream($connection, $asked['sql']);
        case 'begin':
            $connection->begin_transaction();
            break;
        case 'commit':
            $connection->commit();
            break;
        case 'rollback':
            $connection->rollback();
            break;
        case 'close':
            $connection->close();
            unset($connections[$asked['on']]);
    }
    return [];
}

while (($line = fgets(STDIN)) !== false) {
    try {
        say(run(json_decode($line, true, 512, JSON_THROW_ON_ERROR)));
    } catch (mysqli_sql_exception $error) {
        say(['error' => [
            'kind' => get_class($error), 'errno' => $error->getCode(), 'sqlstate' => $error->getSqlState(),
            'text' => $error->getMessage(),
        ]]);
    }
}
