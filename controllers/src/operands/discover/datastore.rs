//! The port of SPIRE's database. The connection string holds a password: it is read here and goes nowhere.

use crate::operands::facts::Ports;

const POSTGRES: u16 = 5432;
const MYSQL: u16 = 3306;

/// TCP ports of a database by the type and connection string of a SpireServer; empty for the built-in one and
/// for sockets. A string that cannot be read gives the default port of the type.
pub fn ports(database_type: &str, connection: &str) -> Ports {
    let connection = connection.trim();
    match database_type {
        "" | "sqlite3" => Ports::new(),
        "mysql" | "aws_mysql" => mysql(connection),
        "postgres" | "aws_postgresql" => postgres(connection),
        // Another type of SQL database: only its string says which.
        _ if looks_like_mysql(connection) => mysql(connection),
        _ => postgres(connection),
    }
}

fn looks_like_mysql(connection: &str) -> bool {
    connection.contains("@tcp(") || connection.contains("@tcp6(") || connection.starts_with("mysql://")
}

/// `user:password@tcp(host:port)/name?…`
fn mysql(connection: &str) -> Ports {
    let after_password = connection.rsplit_once('@').map_or(connection, |(_, rest)| rest);
    if after_password.starts_with("unix(") {
        return Ports::new();
    }
    let host = match after_password.split_once('(') {
        Some((_, rest)) => rest.split(')').next().unwrap_or_default(),
        None => after_password.split('/').next().unwrap_or_default(),
    };
    Ports::from([port_of_host(host).unwrap_or(MYSQL)])
}

/// `postgresql://user:password@host:port,host:port/name?…` or `host=… port=… password=…`
fn postgres(connection: &str) -> Ports {
    let Some((_, rest)) = connection.split_once("://") else {
        return key_values(connection);
    };
    let before_query = rest.split('?').next().unwrap_or_default();
    let after_password = before_query
        .rsplit_once('@')
        .map_or(before_query, |(_, host)| host);
    let hosts = after_password.split('/').next().unwrap_or_default();
    hosts
        .split(',')
        .map(|host| port_of_host(host).unwrap_or(POSTGRES))
        .collect()
}

fn key_values(connection: &str) -> Ports {
    let mut words = connection.split_whitespace();
    let values = words.find_map(|word| word.strip_prefix("port="));
    if connection
        .split_whitespace()
        .any(|w| w.starts_with("host=/") || w.starts_with("host='/"))
    {
        return Ports::new();
    }
    let numbers = values.unwrap_or_default().trim_matches('\'').split(',');
    let ports: Ports = numbers
        .filter_map(|n| n.parse().ok())
        .filter(|n| *n > 0)
        .collect();
    if ports.is_empty() {
        Ports::from([POSTGRES])
    } else {
        ports
    }
}

/// The number after the last colon. Of an IPv6 address without a port that is no number, as it ends in a bracket.
fn port_of_host(host: &str) -> Option<u16> {
    let (_, number) = host.rsplit_once(':')?;
    number.parse().ok().filter(|n| *n > 0)
}
