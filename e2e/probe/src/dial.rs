//! One probe: a connection or a datagram, and an answer that proves that both directions work.

use std::io::{Error, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::clock::{self, micros};
use crate::message::{Failure, Protocol, Speech, Target};
use crate::{name, stall};

/// Length of what is sent and must come back.
pub const WORD: usize = 16;

/// A text that no other probe of this process sends.
fn word() -> [u8; WORD] {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut word = *b"bulkhead00000000";
    word[8..].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    word
}

/// Probes with a fresh connection or datagram; how many microseconds it took.
pub async fn fresh(target: &Target, limit: Duration) -> Result<u64, Failure> {
    let (began, at) = (Instant::now(), clock::now());
    let connected = AtomicBool::new(false);
    let exchange = async {
        match target.protocol {
            Protocol::Tcp => {
                let mut stream = TcpStream::connect(target.address).await.map_err(|e| why(&e))?;
                connected.store(true, Ordering::Relaxed);
                let outcome = match target.speech {
                    Speech::Echo => say(&mut stream).await,
                    Speech::Dns => ask_name(&mut stream).await,
                    Speech::Connect => Ok(()),
                };
                // Ended by a reset, so that thousands of probes leave no thousands of sockets behind.
                let _ = stream.set_zero_linger();
                outcome
            }
            Protocol::Udp => datagram(target).await,
        }
    };
    match timeout(limit, exchange).await {
        Ok(Ok(())) => Ok(micros(began.elapsed())),
        Ok(Err(failure)) => Err(failure),
        Err(_) => Err(too_late(at, connected.load(Ordering::Relaxed))),
    }
}

/// What a probe proves that began then and has had no answer in time.
fn too_late(began_us: u64, connected: bool) -> Failure {
    match connected {
        _ if stall::since(began_us, clock::now()) => Failure::Local,
        true => Failure::Silent,
        false => Failure::Timeout,
    }
}

/// One exchange on an open connection.
pub async fn say(stream: &mut TcpStream) -> Result<(), Failure> {
    let sent = word();
    let mut answer = [0; WORD];
    let _ = stream.set_nodelay(true);
    stream.write_all(&sent).await.map_err(|e| why(&e))?;
    stream.read_exact(&mut answer).await.map_err(|e| why(&e))?;
    same(&sent, &answer)
}

/// An exchange on a long-lived connection, which is opened if there is none.
pub async fn held(
    stream: &mut Option<TcpStream>,
    address: SocketAddr,
    limit: Duration,
) -> Result<u64, Failure> {
    let (began, at) = (Instant::now(), clock::now());
    let exchange = async {
        if stream.is_none() {
            *stream = Some(TcpStream::connect(address).await.map_err(|e| why(&e))?);
        }
        match stream {
            Some(open) => say(open).await,
            None => Err(Failure::Local),
        }
    };
    let outcome = match timeout(limit, exchange).await {
        Ok(outcome) => outcome,
        Err(_) => Err(too_late(at, stream.is_some())),
    };
    if outcome.is_err() {
        *stream = None;
    }
    outcome.map(|()| micros(began.elapsed()))
}

async fn datagram(target: &Target) -> Result<(), Failure> {
    let any: IpAddr = match target.address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await.map_err(|_| Failure::Local)?;
    socket.connect(target.address).await.map_err(|e| why(&e))?;
    let sent = match target.speech {
        Speech::Dns => name::question(),
        _ => word().to_vec(),
    };
    socket.send(&sent).await.map_err(|e| why(&e))?;
    let mut answer = [0; 1_024];
    let length = socket.recv(&mut answer).await.map_err(|e| why(&e))?;
    let answer = answer.get(..length).unwrap_or_default();
    match target.speech {
        Speech::Dns => name::answers(&sent, answer),
        _ => same(&sent, answer),
    }
}

/// A question over TCP, where each message follows its length.
async fn ask_name(stream: &mut TcpStream) -> Result<(), Failure> {
    let question = name::question();
    let mut framed = u16::try_from(question.len())
        .map_err(|_| Failure::Local)?
        .to_be_bytes()
        .to_vec();
    framed.extend(&question);
    stream.write_all(&framed).await.map_err(|e| why(&e))?;
    let length = stream.read_u16().await.map_err(|e| why(&e))?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await.map_err(|e| why(&e))?;
    name::answers(&question, &answer)
}

fn same(sent: &[u8], answer: &[u8]) -> Result<(), Failure> {
    if sent == answer {
        Ok(())
    } else {
        Err(Failure::Garbled)
    }
}

fn why(error: &Error) -> Failure {
    match error.kind() {
        ErrorKind::ConnectionRefused => Failure::Refused,
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof => Failure::Broken,
        ErrorKind::TimedOut => Failure::Timeout,
        ErrorKind::AddrNotAvailable | ErrorKind::AddrInUse | ErrorKind::OutOfMemory => Failure::Local,
        // EMFILE and ENFILE have no kind of their own.
        _ if matches!(error.raw_os_error(), Some(23 | 24)) => Failure::Local,
        _ => Failure::Unreachable,
    }
}
