//! All interfaces of arXiv on one port of loopback, answered by a function, and the answers that it may give.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Answers a request's path and decoded arguments with status and body.
pub(crate) type Handler = Box<dyn Fn(&str, &[(String, String)]) -> (u16, String) + Send + Sync>;

/// Everything of arXiv on one port of loopback.
pub(crate) struct Arxiv {
    pub(crate) base: String,
    pub(crate) requests: Arc<Mutex<Vec<String>>>,
}

impl Arxiv {
    pub(crate) async fn start(handler: Handler) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let base = format!("http://{}", listener.local_addr().expect("it is bound"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (log, handler) = (Arc::clone(&requests), Arc::new(handler));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, handler) = (Arc::clone(&log), Arc::clone(&handler));
                tokio::spawn(async move { answer(stream, &log, &handler).await });
            }
        });
        Self { base, requests }
    }

    /// How many requests so far hold a text.
    pub(crate) fn n_asked(&self, text: &str) -> usize {
        let requests = self.requests.lock().expect("no test panics while it holds it");
        requests.iter().filter(|request| request.contains(text)).count()
    }
}

async fn answer(mut stream: TcpStream, log: &Mutex<Vec<String>>, handler: &Handler) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let target = head.split(' ').nth(1)?;
    let url = reqwest::Url::parse(&format!("http://localhost{target}")).ok()?;
    let arguments: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let line: Vec<String> = arguments
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    log.lock()
        .expect("no test panics while it holds it")
        .push(format!("{}?{}", url.path(), line.join("&")));
    let (status, body) = handler(url.path(), &arguments);
    let answer = format!(
        "HTTP/1.1 {status} Any\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await.ok()
}

pub(crate) fn argument<'a>(arguments: &'a [(String, String)], name: &str) -> &'a str {
    arguments
        .iter()
        .find(|(key, _)| key == name)
        .map_or("", |(_, value)| value)
}

pub(crate) fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("it is a moment")
}

/// An OAI-PMH answer.
pub(crate) fn oai(inside: &str, day: &str) -> (u16, String) {
    let body = format!(
        "<?xml version='1.0' encoding='UTF-8'?><OAI-PMH xmlns='http://www.openarchives.org/OAI/2.0/'>\
         <responseDate>{day}T06:00:00Z</responseDate><request>https://example.org/oai</request>{inside}</OAI-PMH>"
    );
    (200, body)
}

pub(crate) fn nothing(day: &str) -> (u16, String) {
    oai("<error code='noRecordsMatch'>nothing</error>", day)
}

/// A record that changed on `day`; without metadata where `title` is empty.
pub(crate) fn record(id: &str, title: &str, category: &str, day: &str) -> String {
    let metadata = if title.is_empty() {
        String::new()
    } else {
        format!(
            "<metadata><arXivRaw xmlns='http://arxiv.org/OAI/arXivRaw/'><id>{id}</id><version version='v1'>\
             <date>{}</date></version><title>{title}</title><authors>Ana Bee</authors>\
             <categories>{category}</categories><comments>5 pages</comments><abstract>A.</abstract></arXivRaw></metadata>",
            at(&format!("{day}T01:00:00Z")).to_rfc2822()
        )
    };
    format!(
        "<record><header><identifier>oai:arXiv.org:{id}</identifier><datestamp>{day}</datestamp></header>{metadata}</record>"
    )
}

pub(crate) fn list(records: &[String], token: &str, day: &str) -> (u16, String) {
    let token = format!("<resumptionToken>{token}</resumptionToken>");
    oai(&format!("<ListRecords>{}{token}</ListRecords>", records.concat()), day)
}

/// An answer of the query API that holds these papers: identifier, title, submission.
pub(crate) fn atom(papers: &[(String, String, DateTime<Utc>)]) -> (u16, String) {
    let entries: String = papers
        .iter()
        .map(|(id, title, submitted)| {
            let submitted = submitted.format("%Y-%m-%dT%H:%M:%SZ");
            format!(
                "<entry><id>http://arxiv.org/abs/{id}v1</id><title>{title}</title><updated>{submitted}</updated>\
                 <published>{submitted}</published><summary>A.</summary><author><name>Ana Bee</name></author>\
                 <category term=\"cs.LG\"/></entry>"
            )
        })
        .collect();
    let n = papers.len();
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><feed xmlns=\"http://www.w3.org/2005/Atom\" \
         xmlns:opensearch=\"http://a9.com/-/spec/opensearch/1.1/\"><id>x</id><title>x</title>\
         <opensearch:totalResults>{n}</opensearch:totalResults><opensearch:startIndex>0</opensearch:startIndex>\
         <opensearch:itemsPerPage>{n}</opensearch:itemsPerPage>{entries}</feed>"
    );
    (200, body)
}

/// A feed of papers: identifier, type of announcement, title.
pub(crate) fn feed(items: &[(&str, &str, &str)]) -> (u16, String) {
    let item = |(id, kind, title): &(&str, &str, &str)| {
        format!(
            "<item><title>{title}</title><link>https://arxiv.org/abs/{id}</link><description>arXiv:{id}v1 Announce Type: {kind}\n\
             Abstract: A.</description><guid isPermaLink=\"false\">oai:arXiv.org:{id}v1</guid><category>cs.LG</category>\
             <arxiv:announce_type>{kind}</arxiv:announce_type><dc:creator>Ana Bee</dc:creator></item>"
        )
    };
    let items: String = items.iter().map(item).collect();
    (
        200,
        format!(
            "<?xml version='1.0' encoding='UTF-8'?><rss xmlns:arxiv=\"http://arxiv.org/schemas/atom\" \
             xmlns:dc=\"http://purl.org/dc/elements/1.1/\" version=\"2.0\"><channel><title>x</title>{items}</channel></rss>"
        ),
    )
}
