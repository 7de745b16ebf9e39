//! From the relay's name to a TCP connection, over whichever of its addresses answers.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::fault::Fault;

/// How long one address is waited for before the next is tried beside it (RFC 8305, section 5, allows up to 2 s).
const STAGGER: Duration = Duration::from_secs(1);
/// How many addresses of a name are tried.
const ADDRESSES_MAX: usize = 16;

/// Connects to `host` within `limit` for name resolution and TCP together.
///
/// # Errors
/// When the name cannot be resolved or no address answers; the words say which.
pub async fn dial(host: &str, port: u16, limit: Duration) -> Result<TcpStream, Fault> {
    let attempt = async {
        let addresses: Vec<SocketAddr> = lookup_host((host, port))
            .await
            .map_err(|error| Fault::Unreachable(format!("cannot resolve {host} (`mail.host`): {error}")))?
            .take(ADDRESSES_MAX)
            .collect();
        dial_any(&interleave(addresses)).await.map_err(|errors| {
            Fault::Unreachable(format!("nobody answers at {host} port {port}: {}", errors.join("; ")))
        })
    };
    timeout(limit, attempt).await.unwrap_or(Err(Fault::TimedOut(limit)))
}

/// Alternates between the families, beginning with the resolver's first choice (RFC 8305, section 4), so that a
/// broken IPv6 route costs one [`STAGGER`], however many addresses there are.
fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first) = addresses.first().map(SocketAddr::is_ipv6) else {
        return addresses;
    };
    let n = addresses.len();
    let (preferred, other): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|address| address.is_ipv6() == first);
    let (mut preferred, mut other) = (preferred.into_iter(), other.into_iter());
    let mut ordered = Vec::with_capacity(n);
    while ordered.len() < n {
        ordered.extend(preferred.next());
        ordered.extend(other.next());
    }
    ordered
}

/// The first connection that comes about; the attempts left over end with the set.
async fn dial_any(addresses: &[SocketAddr]) -> Result<TcpStream, Vec<String>> {
    let mut waiting = addresses.iter().copied();
    let mut attempts = JoinSet::new();
    let mut errors = Vec::new();
    loop {
        let next = waiting.next();
        match next {
            Some(address) => {
                attempts.spawn(async move { (address, connect(address).await) });
            }
            None if attempts.is_empty() => {
                if errors.is_empty() {
                    errors.push("the name has no address".to_owned());
                }
                return Err(errors);
            }
            None => {}
        }
        tokio::select! {
            Some(done) = attempts.join_next() => match done {
                Ok((_, Ok(stream))) => return Ok(stream),
                Ok((address, Err(error))) => errors.push(format!("{address}: {error}")),
                Err(lost) => errors.push(lost.to_string()),
            },
            () = sleep(STAGGER), if next.is_some() => {}
        }
    }
}

/// Without TCP_NODELAY every mail waits for the delayed acknowledgement of its last small segment, some 40 ms.
async fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::{TcpListener, TcpSocket};

    /// An address that lets a connection hang: a listener whose queue is full drops further requests.
    async fn blackhole() -> (SocketAddr, Vec<TcpStream>, TcpListener) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queued = Vec::new();
        while let Ok(Ok(stream)) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
            queued.push(stream);
        }
        (address, queued, listener)
    }

    #[tokio::test]
    async fn a_dead_first_address_falls_back_within_seconds() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let alive = listener.local_addr().unwrap();
        let (dead, _queued, _listener) = blackhole().await;
        let began = tokio::time::Instant::now();
        let stream = dial_any(&[dead, alive]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), alive);
        assert!(stream.nodelay().unwrap());
        assert!(began.elapsed() < 3 * STAGGER, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn a_refusing_first_address_falls_back_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let alive = listener.local_addr().unwrap();
        let refusing = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let began = tokio::time::Instant::now();
        dial_any(&[refusing, alive]).await.unwrap();
        assert!(began.elapsed() < STAGGER);
    }

    #[tokio::test]
    async fn no_answer_anywhere_names_every_address() {
        let refusing = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let errors = dial_any(&[refusing, refusing]).await.unwrap_err();
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(errors[0].contains(&refusing.to_string()));
        assert_eq!(dial_any(&[]).await.unwrap_err(), ["the name has no address"]);
    }

    #[tokio::test]
    async fn a_silent_address_ends_at_the_limit() {
        let (dead, _queued, _listener) = blackhole().await;
        let limit = Duration::from_millis(300);
        let fault = dial("127.0.0.1", dead.port(), limit).await.unwrap_err();
        assert!(matches!(fault, Fault::TimedOut(passed) if passed == limit), "{fault}");
    }

    #[test]
    fn families_alternate() {
        let addresses: Vec<SocketAddr> = ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"]
            .map(|text| text.parse().unwrap())
            .to_vec();
        let ordered: Vec<String> = interleave(addresses).iter().map(ToString::to_string).collect();
        assert_eq!(ordered, ["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"]);
        assert!(interleave(Vec::new()).is_empty());
    }
}
