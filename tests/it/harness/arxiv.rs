//! arXiv on loopback: it answers searches as the API of 2026 does, and fails where and how the script says.

use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use paperround::clock::{Clock, SystemClock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::papers::{self, Collection, Paper};

/// One request as it came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    /// Its number, from 0.
    pub(crate) n: usize,
    /// The request line.
    pub(crate) line: String,
    pub(crate) user_agent: Option<String>,
    /// The host that it was sent to, with its port.
    pub(crate) host: String,
    /// `search_query`, decoded.
    pub(crate) query: String,
    pub(crate) id_list: String,
    pub(crate) start: usize,
    pub(crate) max_results: usize,
    pub(crate) is_ascending: bool,
    /// Parameters that arXiv does not know.
    pub(crate) strange: Vec<String>,
    /// Since the answer before had ended.
    pub(crate) gap: Option<Duration>,
}

impl Asked {
    /// Whether it is the look at a busy category that shows if arXiv has turned over.
    pub(crate) fn is_canary(&self) -> bool {
        self.query == "cat:cs.LG"
    }

    /// Whether it asks for a first paper by submission time alone.
    pub(crate) fn is_floor_probe(&self) -> bool {
        self.query.starts_with("submittedDate:")
    }

    /// Whether it is a keyword's search.
    pub(crate) fn is_search(&self) -> bool {
        !self.is_canary() && !self.is_floor_probe() && self.id_list.is_empty()
    }

    /// Whether it is the search for a keyword with these words.
    pub(crate) fn asks_for(&self, words: &str) -> bool {
        self.is_search() && self.query.contains(words)
    }
}

/// What comes back.
pub(crate) enum Answer {
    /// What arXiv would say.
    Ordinary,
    /// The ordinary answer with these headers.
    With(Vec<(&'static str, String)>),
    /// This status with these headers and body.
    Status(u16, Vec<(&'static str, String)>, String),
    /// This body with status 200.
    Body(String),
    /// The ordinary body, changed.
    Changed(Box<dyn FnOnce(String) -> String + Send>),
    /// As ordinary, but with this share of the papers, in percent, while the total is the true one.
    Short(usize),
    /// The connection ends after this share of the body, in percent.
    Cut(usize),
    /// The same, compressed.
    GzipCut(usize),
    /// Nothing at all, for ever.
    Silence,
    /// The head and the first 100 bytes, then nothing, for ever.
    Stall,
    /// The head, then one byte after the other at this distance, for ever.
    Drip(Duration),
    /// The ordinary answer, this much later.
    Late(Duration),
}

/// This status without anything else.
pub(crate) fn status(code: u16) -> Answer {
    Answer::Status(code, Vec::new(), String::new())
}

type Script = Box<dyn FnMut(&Asked) -> Answer + Send>;

struct World {
    collection: Collection,
    /// The moment that arXiv believes it is; the machine's clock, if none is set.
    now: Option<DateTime<Utc>>,
    script: Script,
    /// The host in links.
    link_base: String,
    log: Vec<Asked>,
    last_end: Option<Instant>,
    n_open: usize,
    n_open_max: usize,
}

/// A running server; it ends when dropped.
pub(crate) struct ArxivServer {
    pub(crate) port: u16,
    world: Arc<Mutex<World>>,
    task: JoinHandle<()>,
}

impl Drop for ArxivServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ArxivServer {
    /// Listens on 127.0.0.1 at a free port.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("loopback has a free port");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let world = Arc::new(Mutex::new(World {
            collection: Collection::default(),
            now: None,
            script: Box::new(|_| Answer::Ordinary),
            link_base: "https://arxiv.org".to_owned(),
            log: Vec::new(),
            last_end: None,
            n_open: 0,
            n_open_max: 0,
        }));
        let served = Arc::clone(&world);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let world = Arc::clone(&served);
                // A client that leaves half-way is part of the tests.
                connections.spawn(async move { serve(stream, &world).await.ok() });
            }
        });
        Self { port, world, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/api/query", self.port)
    }

    /// Moves arXiv's own clock.
    pub(crate) fn set_now(&self, now: DateTime<Utc>) {
        lock(&self.world).now = Some(now);
    }

    pub(crate) fn announce(&self, evening: &str, papers: impl IntoIterator<Item = Paper>) -> Vec<String> {
        lock(&self.world).collection.announce(evening, papers)
    }

    /// Papers that are there at once, whatever the calendar says.
    pub(crate) fn add_now(&self, papers: impl IntoIterator<Item = Paper>) -> Vec<String> {
        let mut world = lock(&self.world);
        let now = world.now.unwrap_or_else(|| SystemClock.now());
        world.collection.add_at(now, papers)
    }

    pub(crate) fn revise(&self, id: &str, change: impl FnOnce(&mut Paper)) {
        lock(&self.world).collection.revise(id, change);
    }

    /// The host that links name from now on.
    pub(crate) fn link_to(&self, base: &str) {
        base.clone_into(&mut lock(&self.world).link_base);
    }

    /// What is answered from now on.
    pub(crate) fn answers(&self, script: impl FnMut(&Asked) -> Answer + Send + 'static) {
        lock(&self.world).script = Box::new(script);
    }

    /// Everything is well again.
    pub(crate) fn is_well(&self) {
        self.answers(|_| Answer::Ordinary);
    }

    pub(crate) fn log(&self) -> Vec<Asked> {
        lock(&self.world).log.clone()
    }

    /// The requests since the last call of this method.
    pub(crate) fn take_log(&self) -> Vec<Asked> {
        std::mem::take(&mut lock(&self.world).log)
    }

    /// How many requests are open.
    pub(crate) fn n_open(&self) -> usize {
        lock(&self.world).n_open
    }

    /// How many requests were open at once at most.
    pub(crate) fn n_open_max(&self) -> usize {
        lock(&self.world).n_open_max
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

async fn serve(mut stream: TcpStream, world: &Mutex<World>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let (answer, body) = {
        let mut world = lock(world);
        world.n_open += 1;
        world.n_open_max = world.n_open_max.max(world.n_open);
        let mut asked = read(&String::from_utf8_lossy(&head));
        asked.n = world.log.len();
        asked.gap = world.last_end.map(|end| end.elapsed());
        world.log.push(asked.clone());
        let answer = (world.script)(&asked);
        let usual = ordinary(&world, &asked, &answer);
        (answer, usual)
    };
    let written = write(&mut stream, answer, body).await;
    let mut world = lock(world);
    world.n_open -= 1;
    world.last_end = Some(Instant::now());
    written
}

fn read(head: &str) -> Asked {
    let line = head.lines().next().unwrap_or_default().to_owned();
    let target = line.split(' ').nth(1).unwrap_or_default();
    let header = |wanted: &str| {
        head.lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value.trim().to_owned())
    };
    let mut asked = Asked {
        user_agent: header("user-agent"),
        host: header("host").unwrap_or_default(),
        max_results: 10,
        ..Asked::default()
    };
    let url = reqwest::Url::parse(&format!("http://localhost{target}")).expect("the client sends an address");
    for (name, value) in url.query_pairs() {
        match &*name {
            "search_query" => asked.query = value.into_owned(),
            "id_list" => asked.id_list = value.into_owned(),
            "start" => asked.start = value.parse().expect("start is a number"),
            "max_results" => asked.max_results = value.parse().expect("max_results is a number"),
            "sortBy" => {}
            "sortOrder" => asked.is_ascending = value == "ascending",
            _ => asked.strange.push(name.into_owned()),
        }
    }
    Asked { line, ..asked }
}

/// Status and body of what arXiv would say.
fn ordinary(world: &World, asked: &Asked, answer: &Answer) -> (u16, String) {
    let now = world.now.unwrap_or_else(|| SystemClock.now());
    let found = if asked.id_list.is_empty() {
        world.collection.find(&asked.query, asked.is_ascending, now)
    } else {
        Ok(world.collection.by_identifier(&asked.id_list, now))
    };
    match found {
        Err(why) => (400, papers::error_feed(&why)),
        Ok(found) => {
            let mut page: Vec<Paper> = found
                .iter()
                .skip(asked.start)
                .take(asked.max_results)
                .cloned()
                .collect();
            if let Answer::Short(percent) = answer {
                page.truncate(page.len() * percent / 100);
            }
            (
                200,
                papers::feed(&asked.query, found.len(), asked.start, &page, &world.link_base),
            )
        }
    }
}

async fn write(stream: &mut TcpStream, answer: Answer, (code, body): (u16, String)) -> io::Result<()> {
    match answer {
        Answer::Ordinary | Answer::Short(_) => whole(stream, code, &[], body.as_bytes()).await,
        Answer::With(headers) => whole(stream, code, &headers, body.as_bytes()).await,
        Answer::Status(code, headers, body) => whole(stream, code, &headers, body.as_bytes()).await,
        Answer::Body(body) => whole(stream, 200, &[], body.as_bytes()).await,
        Answer::Changed(change) => whole(stream, code, &[], change(body).as_bytes()).await,
        Answer::Late(delay) => {
            tokio::time::sleep(delay).await;
            whole(stream, code, &[], body.as_bytes()).await
        }
        Answer::Cut(percent) => {
            head(stream, 200, &[], body.len()).await?;
            stream.write_all(&body.as_bytes()[..body.len() * percent / 100]).await?;
            stream.shutdown().await
        }
        Answer::GzipCut(percent) => {
            // A header, then one stored block (RFC 1952, RFC 1951), so that no compressor is needed.
            let mut packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
            let length = u16::try_from(body.len().min(60_000)).expect("less than a block");
            packed.push(1);
            packed.extend(length.to_le_bytes());
            packed.extend((!length).to_le_bytes());
            packed.extend(body.bytes().take(usize::from(length)));
            packed.truncate(packed.len() * percent / 100);
            // The length is that of what comes: only the decompression shows that the end is missing.
            let gzip = [("Content-Encoding", "gzip".to_owned())];
            whole(stream, 200, &gzip, &packed).await
        }
        Answer::Silence => std::future::pending().await,
        Answer::Drip(distance) => {
            head(stream, 200, &[], body.len()).await?;
            for byte in body.bytes().cycle() {
                stream.write_all(&[byte]).await?;
                stream.flush().await?;
                tokio::time::sleep(distance).await;
            }
            Ok(())
        }
        Answer::Stall => {
            head(stream, 200, &[], body.len()).await?;
            stream.write_all(&body.as_bytes()[..100]).await?;
            stream.flush().await?;
            std::future::pending().await
        }
    }
}

async fn head(stream: &mut TcpStream, code: u16, headers: &[(&str, String)], length: usize) -> io::Result<()> {
    let mut text = format!(
        "HTTP/1.1 {code} -\r\nContent-Type: application/atom+xml\r\nContent-Length: {length}\r\nConnection: close\r\n"
    );
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    stream.write_all(text.as_bytes()).await
}

async fn whole(stream: &mut TcpStream, code: u16, headers: &[(&str, String)], body: &[u8]) -> io::Result<()> {
    head(stream, code, headers, body.len()).await?;
    stream.write_all(body).await?;
    stream.shutdown().await
}
