//! An agent as a process, asked over its socket.

// Helpers count as no tests for these lints.
#![allow(clippy::expect_used, clippy::panic)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bulkhead_probe::message::{Failure, Group, Protocol, Reply, Request, Speech, Target};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_bulkhead-probe");

struct Agent {
    process: Child,
    socket: PathBuf,
    _folder: TempDir,
}

impl Agent {
    fn start(flags: &[String]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("socket");
        let mut process = Command::new(PROGRAM)
            .arg("agent")
            .args(flags)
            .arg("--socket")
            .arg(&socket)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the agent starts");
        // Its first line says that it serves.
        let mut first = String::new();
        let output = process.stdout.take().expect("piped");
        BufReader::new(output).read_line(&mut first).expect("a line");
        assert!(first.contains("serving"), "{first}");
        Self {
            process,
            socket,
            _folder: folder,
        }
    }

    fn ask(&self, requests: &[Request]) -> Vec<Reply> {
        let mut asker = Command::new(PROGRAM)
            .arg("ask")
            .arg("--socket")
            .arg(&self.socket)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("ask starts");
        let mut input = asker.stdin.take().expect("piped");
        for request in requests {
            writeln!(input, "{}", serde_json::to_string(request).expect("JSON")).expect("written");
        }
        drop(input);
        let output = asker.wait_with_output().expect("ask ends");
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).expect("text");
        text.lines()
            .map(|line| serde_json::from_str(line).expect("a reply"))
            .collect()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A port that was free a moment ago.
fn free() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

fn target(id: &str, protocol: Protocol, port: u16) -> Target {
    Target {
        id: id.to_owned(),
        address: ([127, 0, 0, 1], port).into(),
        protocol,
        held: false,
        speech: Speech::Echo,
    }
}

#[test]
fn open_closed_and_silent_ports_are_told_apart() {
    let (open, closed) = (free(), free());
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let silent_port = silent.local_addr().expect("an address").port();
    // The kernel takes connections for it, and nobody answers on them.
    let mute = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mute_port = mute.local_addr().expect("an address").port();
    let agent = Agent::start(&["--tcp".into(), open.to_string(), "--udp".into(), open.to_string()]);
    let targets = vec![
        target("tcp", Protocol::Tcp, open),
        target("udp", Protocol::Udp, open),
        target("closed", Protocol::Tcp, closed),
        target("silent", Protocol::Udp, silent_port),
        target("mute", Protocol::Tcp, mute_port),
    ];
    let request = Request::Once {
        targets,
        attempts: 2,
        timeout_ms: 200,
    };
    let replies = agent.ask(&[request]);
    let [Reply::Once(outcomes)] = &replies[..] else {
        panic!("{replies:?}");
    };
    assert!(outcomes["tcp"].open() && outcomes["udp"].open(), "{outcomes:?}");
    assert_eq!(outcomes["closed"].failure, Some(Failure::Refused));
    assert_eq!(outcomes["silent"].failure, Some(Failure::Unanswered));
    assert_eq!(outcomes["mute"].failure, Some(Failure::Silent));
    assert_eq!((outcomes["tcp"].attempts, outcomes["silent"].attempts), (1, 2));
}

/// A server that takes its time for every connection.
fn late_server(after: Duration) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut word = [0; bulkhead_probe::dial::WORD];
            if stream.read_exact(&mut word).is_ok() {
                std::thread::sleep(after);
                let _ = stream.write_all(&word);
            }
        }
    });
    port
}

#[test]
fn a_late_answer_is_slow_and_not_lost_for_as_long_as_it_may_take() {
    let port = late_server(Duration::from_millis(400));
    let agent = Agent::start(&[]);
    let start = |answer_ms| Request::Start {
        groups: vec![Group {
            targets: vec![target("late", Protocol::Tcp, port)],
            interval_ms: 500,
        }],
        timeout_ms: 200,
        answer_ms,
        max_seconds: 20,
    };
    let first = |answer_ms| {
        agent.ask(&[start(answer_ms)]);
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let replies = agent.ask(&[Request::Report {}]);
            let [Reply::Report(report)] = &replies[..] else {
                panic!("{replies:?}");
            };
            if report["late"].sent > 0 {
                agent.ask(&[Request::Stop {}]);
                return report["late"].clone();
            }
            assert!(Instant::now() < deadline, "{report:?}");
        }
    };
    let patient = first(Some(5_000));
    assert_eq!((patient.losses(), patient.slow), (0, patient.sent), "{patient:?}");
    let impatient = first(None);
    assert!(impatient.failed.contains_key(&Failure::Silent), "{impatient:?}");
}

#[test]
fn a_server_that_goes_away_shows_as_failures_of_fresh_and_held_connections() {
    let port = free();
    let server = Agent::start(&["--tcp".into(), port.to_string()]);
    let prober = Agent::start(&[]);
    let held = Target {
        held: true,
        ..target("held", Protocol::Tcp, port)
    };
    let start = Request::Start {
        groups: vec![
            Group {
                targets: vec![target("fresh", Protocol::Tcp, port)],
                interval_ms: 10,
            },
            Group {
                targets: vec![held],
                interval_ms: 20,
            },
        ],
        timeout_ms: 500,
        answer_ms: None,
        max_seconds: 20,
    };
    assert!(matches!(prober.ask(&[start])[..], [Reply::Started(2)]));
    let counted = |minimum: u64| {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let replies = prober.ask(&[Request::Report {}]);
            let [Reply::Report(report)] = &replies[..] else {
                panic!("{replies:?}");
            };
            if report.values().all(|summary| summary.sent >= minimum) {
                return report.clone();
            }
            assert!(Instant::now() < deadline, "{report:?}");
        }
    };
    let before = counted(20);
    assert!(before.values().all(|s| s.losses() == 0), "{before:?}");
    drop(server);
    let after = counted(before.values().map(|s| s.sent).max().unwrap_or_default() + 20);
    for (id, summary) in &after {
        assert!(summary.losses() > 0, "{id} noticed nothing: {summary:?}");
        let runs: Vec<bool> = summary.runs.iter().map(|run| run.open).collect();
        assert_eq!(runs, [true, false], "{id}");
    }
    let stopped = prober.ask(&[Request::Stop {}, Request::Report {}]);
    let [Reply::Report(last), Reply::Report(later)] = &stopped[..] else {
        panic!("{stopped:?}");
    };
    let sent = |report: &std::collections::BTreeMap<String, bulkhead_probe::series::Summary>| {
        report.values().map(|s| s.sent).sum::<u64>()
    };
    assert_eq!(sent(last), sent(later), "it goes on after it was stopped");
}

#[test]
fn nonsense_is_refused_with_a_reason() {
    let agent = Agent::start(&[]);
    let twice = Request::Once {
        targets: vec![target("a", Protocol::Tcp, 1), target("a", Protocol::Tcp, 2)],
        attempts: 1,
        timeout_ms: 10,
    };
    let never = Request::Start {
        groups: vec![Group {
            targets: vec![],
            interval_ms: 0,
        }],
        timeout_ms: 10,
        answer_ms: None,
        max_seconds: 1,
    };
    let held = Request::Once {
        targets: vec![Target {
            held: true,
            ..target("b", Protocol::Udp, 1)
        }],
        attempts: 1,
        timeout_ms: 10,
    };
    for (request, reason) in [(twice, "called a"), (never, "too short"), (held, "UDP")] {
        let replies = agent.ask(&[request]);
        assert!(
            matches!(&replies[..], [Reply::Error(said)] if said.contains(reason)),
            "{replies:?}"
        );
    }
}

#[test]
fn an_agent_ends_by_itself() {
    let mut agent = Agent::start(&["--for".into(), "1".into()]);
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(status) = agent.process.try_wait().expect("it can be waited for") {
            assert!(status.success(), "{status}");
            return;
        }
        assert!(Instant::now() < deadline, "it goes on for ever");
        std::thread::sleep(Duration::from_millis(20));
    }
}
