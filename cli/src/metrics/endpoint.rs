//! The page that Prometheus reads, served by a few lines of HTTP/1.1.
//!
//! One page that is read a few times a minute needs no web server: a crate for it would bring either an asynchronous runtime
//! or a pool of threads without time limits. What has to be right here is what strangers can do: nothing. A request has so
//! many bytes and so much time, there are so many at once, and the job knows nothing of any of it. Whoever says nothing gives
//! way to whoever comes next, so that silent clients shut nobody out.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use video_hw::metrics::{TEXT_TYPE, snapshot};
use video_hw::{Error, Result};

use super::args::Address;

/// From its first byte to the last of the answer.
const REQUEST_TIME: Duration = Duration::from_secs(5);
/// Request line and headers.
const REQUEST_BYTES: usize = 8 * 1024;
/// Requests at once. One more is taken, and the one that has said nothing for the longest time is closed.
const MOST_AT_ONCE: usize = 8;
/// Threads that may still be at their ends beside those: a closed request takes a moment to notice.
const MOST_ENDING: usize = 8;
/// Enough for the text; what a thread does not touch takes no memory.
const STACK: usize = 1 << 20;
/// When the system has no more connections to give.
const PAUSE: Duration = Duration::from_millis(100);

/// The page, as long as this lives.
pub(crate) struct Endpoint {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Endpoint {
    /// Begins to serve.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when the address cannot be had.
    pub(crate) fn open(wanted: &Address) -> Result<Self> {
        let refused = |error: std::io::Error| refusal(wanted, &error);
        let listener = TcpListener::bind((wanted.host.as_str(), wanted.port)).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("metrics".to_owned())
            .spawn(move || accept(&listener, &stopped))
            .map_err(|source| Error::io("start a thread for", "metrics", source))?;
        Ok(Self { address, stop, thread: Some(thread) })
    }

    /// Where the page is.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/metrics", self.address)
    }
}

fn refusal(wanted: &Address, error: &std::io::Error) -> Error {
    let Address { host, port } = wanted;
    let place = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    Error::invalid(match error.kind() {
        ErrorKind::AddrInUse => format!(
            "--metrics-addr {place}: another program listens there; give another port, or 0 for any free one"
        ),
        ErrorKind::PermissionDenied => {
            format!("--metrics-addr {place}: not allowed; give a port above 1023, or 0 for any free one")
        }
        ErrorKind::AddrNotAvailable => {
            format!("--metrics-addr {place}: this machine does not have that address; 0.0.0.0 is all it has")
        }
        _ => format!("--metrics-addr {place}: {error}"),
    })
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // The thread waits for somebody to come.
        let host = match self.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        let woken = TcpStream::connect_timeout(&SocketAddr::new(host, self.address.port()), PAUSE).is_ok();
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, stop: &AtomicBool) {
    let requests = Requests::default();
    loop {
        let stream = listener.accept();
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let Ok((stream, _)) = stream else {
            std::thread::sleep(PAUSE);
            continue;
        };
        let Some(request) = requests.begin(&stream) else { continue };
        // A thread that cannot be started drops the connection; whoever asked will ask again.
        let _ = std::thread::Builder::new().name("metrics-request".to_owned()).stack_size(STACK).spawn(
            move || {
                // Whoever has gone away is nobody's trouble.
                let _ = answer(stream, &request, Instant::now() + REQUEST_TIME);
            },
        );
    }
}

/// The requests that run.
#[derive(Clone, Default)]
struct Requests(Arc<(Mutex<Running>, Condvar)>);

#[derive(Default)]
struct Running {
    next: u64,
    /// The oldest first.
    connections: Vec<Connection>,
    /// Threads, those of closed requests included.
    threads: usize,
}

struct Connection {
    number: u64,
    stream: TcpStream,
    /// Its request is here.
    asked: bool,
}

/// One of them, until it is dropped.
struct Request {
    number: u64,
    all: Requests,
}

impl Requests {
    fn lock(&self) -> MutexGuard<'_, Running> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Room for one more, once enough of the closed requests have ended; `None` when the system has no handle left.
    fn begin(&self, stream: &TcpStream) -> Option<Request> {
        let full = |running: &mut Running| running.threads >= MOST_AT_ONCE + MOST_ENDING;
        let mut running = self.0.1.wait_while(self.lock(), full).unwrap_or_else(PoisonError::into_inner);
        let stream = stream.try_clone().ok()?;
        if running.connections.len() >= MOST_AT_ONCE {
            let silent = running.connections.iter().position(|connection| !connection.asked);
            let gone = running.connections.remove(silent.unwrap_or(0));
            // Its thread's next read or write ends at once.
            let _ = gone.stream.shutdown(Shutdown::Both);
        }
        let number = running.next;
        running.next += 1;
        running.threads += 1;
        running.connections.push(Connection { number, stream, asked: false });
        Some(Request { number, all: self.clone() })
    }
}

impl Request {
    fn asked(&self) {
        let mut running = self.all.lock();
        if let Some(own) = running.connections.iter_mut().find(|connection| connection.number == self.number)
        {
            own.asked = true;
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let mut running = self.all.lock();
        running.threads -= 1;
        running.connections.retain(|connection| connection.number != self.number);
        drop(running);
        self.all.0.1.notify_one();
    }
}

fn left(deadline: Instant) -> std::io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn answer(mut stream: TcpStream, own: &Request, deadline: Instant) -> std::io::Result<()> {
    let request = read_head(&mut stream, deadline)?;
    own.asked();
    let (status, head_only, kind, body) = match request.as_deref().map(respond) {
        Some(answer) => answer,
        None => ("431 Request Header Fields Too Large", false, "text/plain", "too long\n".to_owned()),
    };
    let allow = if status.starts_with("405") { "Allow: GET, HEAD\r\n" } else { "" };
    let mut text = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n{allow}Connection: close\r\n\r\n",
        body.len()
    );
    if !head_only {
        text.push_str(&body);
    }
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        stream.set_write_timeout(Some(left(deadline)?))?;
        match stream.write(rest)? {
            0 => return Err(ErrorKind::WriteZero.into()),
            written => rest = &rest[written..],
        }
    }
    stream.shutdown(Shutdown::Write)
}

/// Request line and headers; `None`: they do not end.
fn read_head(stream: &mut TcpStream, deadline: Instant) -> std::io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    let mut piece = [0; 1024];
    loop {
        if let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") {
            head.truncate(end);
            return Ok(Some(head));
        }
        if head.len() >= REQUEST_BYTES {
            return Ok(None);
        }
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut piece)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            got => head.extend_from_slice(&piece[..got]),
        }
    }
}

/// Status, whether the body is left out, its type, and the body.
fn respond(head: &[u8]) -> (&'static str, bool, &'static str, String) {
    let plain = "text/plain; charset=utf-8";
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let message: Vec<_> = line.split(|byte| *byte == b' ').collect();
    let [method, target, version] = message[..] else {
        return ("400 Bad Request", false, plain, "not HTTP\n".to_owned());
    };
    if !version.starts_with(b"HTTP/1.") {
        return ("400 Bad Request", false, plain, "not HTTP/1\n".to_owned());
    }
    if method != b"GET" && method != b"HEAD" {
        return ("405 Method Not Allowed", false, plain, "this page can only be read\n".to_owned());
    }
    let head_only = method == b"HEAD";
    match target.split(|byte| *byte == b'?').next() {
        Some(b"/metrics") => ("200 OK", head_only, TEXT_TYPE, snapshot().to_prometheus()),
        Some(b"/") => {
            ("200 OK", head_only, plain, "video-hw: figures for Prometheus are at /metrics\n".to_owned())
        }
        _ => ("404 Not Found", head_only, plain, "figures are at /metrics\n".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> Endpoint {
        Endpoint::open(&Address { host: "127.0.0.1".to_owned(), port: 0 }).unwrap()
    }

    fn ask(endpoint: &Endpoint, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(endpoint.address).unwrap();
        stream.write_all(request).unwrap();
        let mut answer = Vec::new();
        // The end may be a reset, where more was sent than was read.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[test]
    fn only_the_page_is_served() {
        let endpoint = open();
        for (request, status) in [
            (&b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"[..], "200 OK"),
            (b"GET /metrics?x=1 HTTP/1.0\r\n\r\n", "200 OK"),
            (b"GET / HTTP/1.1\r\n\r\n", "200 OK"),
            (b"GET /../etc/passwd HTTP/1.1\r\n\r\n", "404 Not Found"),
            (b"POST /metrics HTTP/1.1\r\n\r\n", "405 Method Not Allowed"),
            (b"GET /metrics\r\n\r\n", "400 Bad Request"),
            (b"\xff\x00\x01 / HTTP/1.1\r\n\r\n", "405 Method Not Allowed"),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400 Bad Request"),
        ] {
            let answer = ask(&endpoint, request);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{request:?}: {answer}");
            assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
        }
        let head = ask(&endpoint, b"HEAD / HTTP/1.1\r\n\r\n");
        assert!(head.ends_with("\r\n\r\n") && head.contains("Content-Length: 49\r\n"), "{head}");
        let endless = [&b"GET /metrics HTTP/1.1\r\n"[..], &b"X: y\r\n".repeat(REQUEST_BYTES / 6)].concat();
        let answer = ask(&endpoint, &endless[..REQUEST_BYTES]);
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }

    #[test]
    fn those_who_say_nothing_hold_neither_the_others_nor_the_end() {
        let endpoint = open();
        let silent: Vec<_> =
            (0..MOST_AT_ONCE - 1).map(|_| TcpStream::connect(endpoint.address).unwrap()).collect();
        assert!(ask(&endpoint, b"GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 200 "));
        let crowd: Vec<_> = (0..4 * MOST_AT_ONCE).map(|_| TcpStream::connect(endpoint.address)).collect();
        // Does not wait for their time to run out: a test that hangs here has failed.
        drop(endpoint);
        drop((silent, crowd));
    }

    #[test]
    fn silent_clients_shut_nobody_out() {
        let endpoint = open();
        let mut crowd = Vec::new();
        for number in 0..MOST_AT_ONCE + MOST_ENDING {
            let mut stream = TcpStream::connect(endpoint.address).unwrap();
            // Half of them say the beginning of something.
            if number % 2 == 0 {
                stream.write_all(b"GET /metrics HTTP/1.1\r\nX: ").unwrap();
            }
            crowd.push(stream);
            // With all of them still connected.
            let answer = ask(&endpoint, b"GET /metrics HTTP/1.1\r\n\r\n");
            assert!(answer.starts_with("HTTP/1.1 200 "), "beside {number} others: {answer:?}");
        }
        // Who gave way has heard the end of it.
        let mut rest = Vec::new();
        crowd[0].read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"");
    }

    #[test]
    fn a_port_in_use_says_what_to_do() {
        let endpoint = open();
        let taken = Address { host: "127.0.0.1".to_owned(), port: endpoint.address.port() };
        let said = Endpoint::open(&taken).err().unwrap().to_string();
        assert!(said.contains("another program listens there") && said.contains("or 0 for any"), "{said}");
    }
}
