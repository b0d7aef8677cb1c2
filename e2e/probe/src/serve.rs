//! Echo servers.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::dial::WORD;

/// Connections that one port serves at a time.
const CONNECTIONS: usize = 1_024;
/// A connection on which nothing is said for so long is closed.
const SILENCE: Duration = Duration::from_mins(2);
/// How long a server waits after an error of its socket, which is mostly a want of descriptors.
const PAUSE: Duration = Duration::from_millis(10);

/// Listens for TCP on a port of every address.
pub async fn listen(port: u16) -> io::Result<TcpListener> {
    match TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).await {
        // Without IPv6 in the kernel.
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).await
        }
        other => other,
    }
}

/// Takes UDP on a port of an address, or of every one.
pub async fn datagrams(address: Option<IpAddr>, port: u16) -> io::Result<UdpSocket> {
    if let Some(address) = address {
        return UdpSocket::bind(SocketAddr::from((address, port))).await;
    }
    match UdpSocket::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).await {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            UdpSocket::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).await
        }
        other => other,
    }
}

/// Echoes on every connection, for ever.
pub async fn tcp(listener: TcpListener) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                // Ends by itself: silence and the peer's end both end it, and the place bounds how many there are.
                tokio::spawn(async move {
                    echo(stream).await;
                    drop(place);
                });
            }
            Err(_) => sleep(PAUSE).await,
        }
    }
}

async fn echo(mut stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let mut word = [0; WORD];
    while let Ok(Ok(_)) = timeout(SILENCE, stream.read_exact(&mut word)).await {
        if stream.write_all(&word).await.is_err() {
            return;
        }
    }
}

/// Sends every datagram back, for ever.
pub async fn udp(socket: UdpSocket) {
    let mut word = [0; 512];
    loop {
        match socket.recv_from(&mut word).await {
            Ok((length, from)) => {
                if let Some(said) = word.get(..length) {
                    // Whoever asked has gone or cannot be reached: nobody's error.
                    let _ = socket.send_to(said, from).await;
                }
            }
            Err(_) => sleep(PAUSE).await,
        }
    }
}
