//! The process in a pod: servers, probes, and the socket over which it is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::args::Agent;
use crate::dial::Patience;
use crate::message::{Group, Outcome, Protocol, Reply, Request, Speech, Target};
use crate::schedule::{Beat, Schedule};
use crate::{clock, dial, serve};

/// Longest request.
const REQUEST_BYTES: u64 = 4 << 20;
/// Targets of one request.
pub const MAX_TARGETS: usize = 4_096;
/// Probes of one [`Request::Once`] that are under way at a time.
const AT_ONCE: usize = 256;
/// Shortest time between two probes of a target.
const SHORTEST_MS: u64 = 1;
/// Longest time that anything here may take.
const LONGEST: Duration = Duration::from_hours(12);

/// Serves, probes and answers until its time is over.
pub async fn run(args: &Agent) -> io::Result<()> {
    let mut servers = JoinSet::new();
    for &port in &args.tcp {
        let listener = serve::listen(port)
            .await
            .map_err(|e| at(&e, &format!("TCP port {port}")))?;
        servers.spawn(serve::tcp(listener));
    }
    for &port in &args.udp {
        let socket = serve::datagrams(args.udp_address, port)
            .await
            .map_err(|e| at(&e, &format!("UDP port {port}")))?;
        servers.spawn(serve::udp(socket));
    }
    let socket = bind(&args.socket).map_err(|e| at(&e, &args.socket.display().to_string()))?;
    let schedule = Arc::new(Mutex::new(Schedule::default()));
    servers.spawn(crate::stall::pulse());
    servers.spawn(answer_all(socket, Arc::clone(&schedule)));
    println!(
        "{}",
        serde_json::json!({"serving": {"tcp": args.tcp, "udp": args.udp}, "at": clock::now()})
    );
    let ended = tokio::time::timeout(args.life.min(LONGEST), servers.join_next()).await;
    let report = schedule.lock().await.report();
    if !report.is_empty() {
        println!("{}", serde_json::json!({"report": report, "at": clock::now()}));
    }
    match ended {
        // The servers never end by themselves.
        Ok(_) => Err(io::Error::other("a server ended unexpectedly")),
        Err(_) => Ok(()),
    }
}

fn at(error: &io::Error, what: &str) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // Left behind by a container that ended; two agents never share a file system.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(path)
}

async fn answer_all(socket: UnixListener, schedule: Arc<Mutex<Schedule>>) {
    let mut askers = JoinSet::new();
    loop {
        tokio::select! {
            accepted = socket.accept() => if let Ok((stream, _)) = accepted {
                askers.spawn(converse(stream, Arc::clone(&schedule)));
            },
            Some(_) = askers.join_next() => {}
        }
    }
}

/// One request a line until the other side is done.
async fn converse(stream: UnixStream, schedule: Arc<Mutex<Schedule>>) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).take(REQUEST_BYTES);
    loop {
        let mut line = String::new();
        match lines.read_line(&mut line).await {
            Ok(length) if length > 0 => {}
            _ => return,
        }
        lines.set_limit(REQUEST_BYTES);
        let reply = match serde_json::from_str(&line) {
            Ok(request) => answer(request, &schedule).await,
            Err(error) => Reply::Error(format!("the request is not understood: {error}")),
        };
        let mut text =
            serde_json::to_string(&reply).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"));
        text.push('\n');
        if write.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn answer(request: Request, schedule: &Mutex<Schedule>) -> Reply {
    match request {
        Request::Once {
            targets,
            attempts,
            timeout_ms,
        } => match checked(targets.iter(), timeout_ms) {
            Err(error) => Reply::Error(error),
            Ok(()) => Reply::Once(once(targets, attempts, Duration::from_millis(timeout_ms)).await),
        },
        Request::Start {
            groups,
            timeout_ms,
            answer_ms,
            max_seconds,
        } => {
            if let Err(error) = checked_groups(&groups, timeout_ms) {
                return Reply::Error(error);
            }
            let beat = Beat {
                patience: Patience {
                    connect: Duration::from_millis(timeout_ms),
                    answer: Duration::from_millis(answer_ms.unwrap_or(timeout_ms)),
                },
                until: Instant::now() + Duration::from_secs(max_seconds).min(LONGEST),
            };
            let mut running = schedule.lock().await;
            running.stop(Duration::ZERO).await;
            *running = Schedule::start(groups, beat);
            Reply::Started(running.len())
        }
        Request::Report {} => Reply::Report(schedule.lock().await.report()),
        Request::Stop {} => Reply::Report(schedule.lock().await.stop(Duration::from_secs(5)).await),
        Request::Clock {} => Reply::Clock(clock::now()),
    }
}

fn checked_groups(groups: &[Group], timeout_ms: u64) -> Result<(), String> {
    if let Some(group) = groups.iter().find(|group| group.interval_ms < SHORTEST_MS) {
        return Err(format!("an interval of {} ms is too short", group.interval_ms));
    }
    checked(groups.iter().flat_map(|group| &group.targets), timeout_ms)
}

fn checked<'a>(targets: impl Iterator<Item = &'a Target>, timeout_ms: u64) -> Result<(), String> {
    if timeout_ms == 0 {
        return Err("a timeout of 0 ms lets nothing through".to_owned());
    }
    let mut seen = BTreeSet::new();
    for target in targets {
        if !seen.insert(&target.id) {
            return Err(format!("two targets are called {}", target.id));
        }
        if target.held && target.speech != Speech::Echo {
            return Err(format!("{}: only an echo can be held", target.id));
        }
        if target.speech == Speech::Connect && target.protocol == Protocol::Udp {
            return Err(format!("{}: UDP shows nothing without an answer", target.id));
        }
        if target.held && target.protocol == Protocol::Udp {
            return Err(format!("{}: UDP has no connection that could be held", target.id));
        }
    }
    if seen.len() > MAX_TARGETS {
        return Err(format!("{} targets are more than {MAX_TARGETS}", seen.len()));
    }
    Ok(())
}

async fn once(targets: Vec<Target>, attempts: u32, limit: Duration) -> BTreeMap<String, Outcome> {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = JoinSet::new();
    for target in targets {
        let places = Arc::clone(&places);
        tasks.spawn(async move {
            let _place = places.acquire_owned().await;
            let outcome = until_open(&target, attempts.max(1), limit).await;
            (target.id, outcome)
        });
    }
    let mut outcomes = BTreeMap::new();
    while let Some(Ok((id, outcome))) = tasks.join_next().await {
        outcomes.insert(id, outcome);
    }
    outcomes
}

async fn until_open(target: &Target, attempts: u32, limit: Duration) -> Outcome {
    let mut made = 0;
    loop {
        made += 1;
        let began = Instant::now();
        let result = dial::fresh(target, Patience::both(limit)).await;
        if result.is_ok() || made >= attempts {
            return Outcome {
                failure: result.err(),
                attempts: made,
                took_us: clock::micros(began.elapsed()),
            };
        }
    }
}
