//! The command line. Read by hand: the program is copied into many images and has two verbs.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::SOCKET;

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Be the process of a pod.
    Agent(Agent),
    /// Ask the agent of this container.
    Ask {
        /// Where it listens.
        socket: PathBuf,
        /// One request; without it, each line of standard input is one.
        request: Option<String>,
    },
    /// Say how to use it.
    Help,
}

/// How the process of a pod is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Ports that echo over TCP.
    pub tcp: Vec<u16>,
    /// Ports that echo over UDP.
    pub udp: Vec<u16>,
    /// Address that UDP is served on; every one without it. A host with several addresses may answer from another
    /// one than was asked, which the asker takes for somebody else.
    pub udp_address: Option<IpAddr>,
    /// Where it can be asked.
    pub socket: PathBuf,
    /// When it ends by itself.
    pub life: Duration,
}

/// How to use it.
pub const USAGE: &str = "\
usage: bulkhead-probe agent [--tcp PORT,...] [--udp PORT,...] [--udp-address IP] [--for SECONDS] [--socket PATH]
       bulkhead-probe ask [--socket PATH] [REQUEST]

agent echoes on the ports, and opens connections as it is asked; it ends by itself (after an hour).
ask hands one JSON request a line to the agent, from the command line or standard input:
  {\"once\":{\"targets\":[{\"id\":\"a\",\"address\":\"10.0.0.1:80\",\"protocol\":\"TCP\"}],\"attempts\":1,\"timeout_ms\":900}}
  {\"start\":{\"groups\":[{\"targets\":[...],\"interval_ms\":10}],\"timeout_ms\":900,\"max_seconds\":60}}
  {\"report\":{}}   {\"stop\":{}}   {\"clock\":{}}
";

/// Reads the command line without the program's name.
pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Command, String> {
    let mut words = words.into_iter();
    match words.next().as_deref() {
        Some("agent") => agent(words).map(Command::Agent),
        Some("ask") => ask(words),
        Some("--help" | "-h" | "help") => Ok(Command::Help),
        Some(other) => Err(format!("there is no {other}; say agent or ask")),
        None => Err("say agent or ask".to_owned()),
    }
}

fn agent(mut words: impl Iterator<Item = String>) -> Result<Agent, String> {
    let mut agent = Agent {
        tcp: Vec::new(),
        udp: Vec::new(),
        udp_address: None,
        socket: SOCKET.into(),
        life: Duration::from_hours(1),
    };
    while let Some(flag) = words.next() {
        let value = words.next().ok_or_else(|| format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--tcp" => agent.tcp = ports(&value)?,
            "--udp" => agent.udp = ports(&value)?,
            "--udp-address" => {
                let address = value.parse().map_err(|_| format!("{value} is no address"))?;
                agent.udp_address = Some(address);
            }
            "--socket" => agent.socket = value.into(),
            "--for" => agent.life = seconds(&value)?,
            other => return Err(format!("agent has no flag {other}")),
        }
    }
    Ok(agent)
}

fn ask(mut words: impl Iterator<Item = String>) -> Result<Command, String> {
    let (mut socket, mut request) = (PathBuf::from(SOCKET), None);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--socket" => socket = words.next().ok_or("--socket needs a value")?.into(),
            other if other.starts_with('-') => return Err(format!("ask has no flag {other}")),
            _ if request.is_some() => return Err("ask takes one request".to_owned()),
            _ => request = Some(word),
        }
    }
    Ok(Command::Ask { socket, request })
}

fn ports(text: &str) -> Result<Vec<u16>, String> {
    let named = text.split(',').filter(|port| !port.is_empty());
    let mut ports: Vec<u16> = named
        .map(|port| match port.parse() {
            Ok(0) | Err(_) => Err(format!("{port} is no port between 1 and 65535")),
            Ok(port) => Ok(port),
        })
        .collect::<Result<_, _>>()?;
    ports.sort_unstable();
    ports.dedup();
    Ok(ports)
}

fn seconds(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text} is no number of seconds");
    text.parse().map(Duration::from_secs).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn flags_are_read_and_ports_are_checked() {
        let Ok(Command::Agent(agent)) = read("agent --tcp 8443,80,80 --udp 5353 --for 60") else {
            panic!("it is right");
        };
        assert_eq!((agent.tcp, agent.udp), (vec![80, 8443], vec![5353]));
        assert_eq!(agent.life, Duration::from_mins(1));
        for wrong in [
            "agent --tcp 0",
            "agent --tcp x",
            "agent --tcp",
            "agent --port 1",
            "serve",
            "",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_request_may_be_given_or_not() {
        assert!(matches!(read("ask"), Ok(Command::Ask { request: None, .. })));
        assert!(matches!(
            read("ask {}"),
            Ok(Command::Ask { request: Some(_), .. })
        ));
        assert!(read("ask {} {}").is_err());
    }
}
