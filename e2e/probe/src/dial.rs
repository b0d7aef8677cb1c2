//! One probe: a connection or a datagram, and an answer that proves that both directions work.

use std::io::{Error, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::clock::{self, micros};
use crate::message::{Failure, Protocol, Speech, Target};
use crate::{TIMEOUT_MS, name, stall};

/// How long a connection is kept on which no answer came in time.
const KEPT: Duration = Duration::from_secs(20);
/// Length of what is sent and must come back.
pub const WORD: usize = 16;

/// A text that no other probe of this process sends.
fn word() -> [u8; WORD] {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut word = *b"bulkhead00000000";
    word[8..].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    word
}

/// How long a probe waits.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a connection.
    pub connect: Duration,
    /// For the answer on it, and to a datagram.
    pub answer: Duration,
}

impl Patience {
    /// The same for both.
    pub fn both(limit: Duration) -> Self {
        Self {
            connect: limit,
            answer: limit,
        }
    }
}

/// Probes with a fresh connection or datagram; how many microseconds it took.
pub async fn fresh(target: &Target, patience: Patience) -> Result<u64, Failure> {
    let began = Instant::now();
    match target.protocol {
        Protocol::Tcp => {
            let mut stream = connect(target.address, patience).await?;
            let exchange = async {
                match target.speech {
                    Speech::Echo => say(&mut stream).await,
                    Speech::Dns => ask_name(&mut stream).await,
                    Speech::Connect => Ok(()),
                }
            };
            let outcome = within(patience.answer, Failure::Silent, exchange).await;
            // Ended by a reset, so that thousands of probes leave no thousands of sockets behind.
            let _ = stream.set_zero_linger();
            if outcome.is_err() {
                keep(stream);
            }
            outcome?;
        }
        Protocol::Udp => {
            let socket = socket(target.address).await?;
            let outcome = within(patience.answer, Failure::Unanswered, datagram(target, &socket)).await;
            if outcome.is_err() {
                keep(socket);
            }
            outcome?;
        }
    }
    Ok(micros(began.elapsed()))
}

/// Keeps a socket for a while whose answer is late: after its end the answer would be a packet for nobody, and the
/// plugin would count that, or the complaint about it, among those that it denied.
fn keep<T: Send + 'static>(socket: T) {
    static PLACES: Semaphore = Semaphore::const_new(1_024);
    if let Ok(place) = PLACES.try_acquire() {
        tokio::spawn(async move {
            tokio::time::sleep(KEPT).await;
            drop((socket, place));
        });
    }
}

async fn connect(address: SocketAddr, patience: Patience) -> Result<TcpStream, Failure> {
    let stream = async { TcpStream::connect(address).await.map_err(|e| why(&e)) };
    within(patience.connect, Failure::Timeout, stream).await
}

/// The result in time, or what its absence means: nothing, where this process itself stood still towards the end.
async fn within<T>(
    limit: Duration,
    late: Failure,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let began = clock::now();
    if let Ok(outcome) = timeout(limit, work).await {
        return outcome;
    }
    let now = clock::now();
    let end = began.max(now.saturating_sub(TIMEOUT_MS * 1_000));
    let stood_still = stall::since(end, now);
    Err(if stood_still { Failure::Local } else { late })
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
    patience: Patience,
) -> Result<u64, Failure> {
    let began = Instant::now();
    let mut open = match stream.take() {
        Some(open) => open,
        None => connect(address, patience).await?,
    };
    within(patience.answer, Failure::Silent, say(&mut open)).await?;
    *stream = Some(open);
    Ok(micros(began.elapsed()))
}

async fn socket(to: SocketAddr) -> Result<UdpSocket, Failure> {
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await.map_err(|_| Failure::Local)?;
    socket.connect(to).await.map_err(|e| why(&e))?;
    Ok(socket)
}

async fn datagram(target: &Target, socket: &UdpSocket) -> Result<(), Failure> {
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
