//! The harvest, its stand-ins and its reconciliation, against a server on loopback that answers as arXiv does.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Arc, Mutex},
};

use chrono::{DateTime, TimeDelta, Utc};
use paperround::{
    admin,
    app::{App, load_config},
    clock::ManualClock,
    config::Environment,
    model::{ArxivId, KeywordCoverage, SubscriberId},
    run::{self, Report},
    store::{DocumentKind, Store, documents, memory::MemoryStore},
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;

/// Answers a request's path and decoded arguments with status and body.
type Handler = Box<dyn Fn(&str, &[(String, String)]) -> (u16, String) + Send + Sync>;

/// Everything of arXiv on one port of loopback.
struct Arxiv {
    base: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Arxiv {
    async fn start(handler: Handler) -> Self {
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
    fn n_asked(&self, text: &str) -> usize {
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

fn argument<'a>(arguments: &'a [(String, String)], name: &str) -> &'a str {
    arguments
        .iter()
        .find(|(key, _)| key == name)
        .map_or("", |(_, value)| value)
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("it is a moment")
}

/// An OAI-PMH answer.
fn oai(inside: &str, day: &str) -> (u16, String) {
    let body = format!(
        "<?xml version='1.0' encoding='UTF-8'?><OAI-PMH xmlns='http://www.openarchives.org/OAI/2.0/'>\
         <responseDate>{day}T06:00:00Z</responseDate><request>https://example.org/oai</request>{inside}</OAI-PMH>"
    );
    (200, body)
}

fn nothing(day: &str) -> (u16, String) {
    oai("<error code='noRecordsMatch'>nothing</error>", day)
}

/// A record that changed on `day`; without metadata where `title` is empty.
fn record(id: &str, title: &str, category: &str, day: &str) -> String {
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

fn list(records: &[String], token: &str, day: &str) -> (u16, String) {
    let token = format!("<resumptionToken>{token}</resumptionToken>");
    oai(&format!("<ListRecords>{}{token}</ListRecords>", records.concat()), day)
}

/// An answer of the query API that holds these papers: identifier, title, submission.
fn atom(papers: &[(String, String, DateTime<Utc>)]) -> (u16, String) {
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

/// One subscriber's service on a store in memory.
struct Service {
    app: App,
    clock: Arc<ManualClock>,
    store: Arc<dyn Store>,
}

impl Service {
    /// A service that reads from `base`; `keywords` is TOML.
    fn new(dir: &Path, base: &str, source: &str, keywords: &str, now: &str) -> Self {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        Self::on(store, dir, base, source, keywords, now)
    }

    fn on(store: Arc<dyn Store>, dir: &Path, base: &str, source: &str, keywords: &str, now: &str) -> Self {
        let text = format!(
            "schedule = \"0 7 * * *\"\nstate_dir = \"state\"\n[arxiv]\nsource = \"{source}\"\ncontact = \"mailto:test@example.org\"\n\
             api_url = \"{base}/api/query\"\noai_url = \"{base}/oai\"\nrss_url = \"{base}/rss\"\nrequest_interval = \"0s\"\n\
             retry_delay = \"5ms\"\nretry_budget = \"1s\"\ntimeout = \"5s\"\npage_size = 2000\n\
             [mail]\nfrom = \"papers@example.org\"\ntransport = \"maildir\"\nmaildir = \"out\"\n\
             [report]\nto = [\"ops@example.org\"]\n\
             [[subscriber]]\nemail = \"ana@example.net\"\n{keywords}\n"
        );
        let path = dir.join("config.toml");
        std::fs::write(&path, text).expect("the folder can be written");
        let loaded = load_config(&path, &Environment::default()).expect("the configuration is right");
        let clock = Arc::new(ManualClock::new(at(now)));
        let app = App::build(loaded, Arc::clone(&store), clock.clone()).expect("everything can be built");
        Self { app, clock, store }
    }

    async fn fetch(&self) -> Report {
        let mut report = Report::default();
        run::fetch_and_record(&self.app.run, &self.app.roster, &mut report)
            .await
            .expect("the store works");
        report
    }

    /// The papers that were recorded for the subscriber.
    async fn recorded(&self) -> Vec<String> {
        let ana = SubscriberId("ana@example.net".to_owned());
        let state = self
            .store
            .subscribers(&[ana])
            .await
            .expect("the store works")
            .remove(0)
            .value;
        state.pending.keys().map(ToString::to_string).collect()
    }
}

const DAY: &str = "2026-02-11";
const NOW: &str = "2026-02-11T07:00:00Z";

#[tokio::test]
async fn a_list_is_read_over_its_tokens_and_begun_anew_when_one_expires() {
    let dir = tempfile::tempdir().expect("a folder");
    let n_expired = Mutex::new(0);
    let arxiv = Arxiv::start(Box::new(move |_, arguments| {
        let day = "2026-02-10";
        if argument(arguments, "set") == "cs:cs:LG" {
            return list(&[record("2602.00011", "On DARTS", "cs.LG", day)], "a%26b", DAY);
        }
        match argument(arguments, "resumptionToken") {
            "" => nothing(DAY),
            "a%26b" if arguments.len() == 2 => {
                let mut n_expired = n_expired.lock().expect("nothing panics");
                *n_expired += 1;
                if *n_expired == 1 {
                    return oai("<error code='badResumptionToken'>expired</error>", DAY);
                }
                list(
                    &[
                        record("2602.00012", "DARTS again", "cs.LG", day),
                        record("2602.00013", "Other", "cs.LG", day),
                    ],
                    "",
                    DAY,
                )
            }
            other => panic!("a token must come back alone and as it was: {other}"),
        }
    }))
    .await;
    let service = Service::new(dir.path(), &arxiv.base, "harvest", "keywords = [\"DARTS\"]", NOW);
    let report = service.fetch().await;
    assert!(report.incomplete.is_empty(), "{:?}", report.incomplete);
    assert_eq!(service.recorded().await, ["2602.00011", "2602.00012"]);
    // Every set once, and the one with the expired token a second time; nothing was asked of the query API.
    assert_eq!(
        (
            arxiv.n_asked("set="),
            arxiv.n_asked("set=cs:cs:LG"),
            arxiv.n_asked("/api")
        ),
        (156, 2, 0)
    );
    assert_eq!(arxiv.n_asked("until="), 0);
    assert!(report.current);
    // Half an hour later nothing can be new, a day later it can.
    service.clock.set(at("2026-02-11T07:30:00Z"));
    let report = service.fetch().await;
    assert!(report.incomplete.is_empty() && report.current);
    assert_eq!(arxiv.n_asked("set="), 156);
    service.clock.set(at("2026-02-12T07:00:00Z"));
    service.fetch().await;
    assert_eq!(arxiv.n_asked("set="), 311);
}

#[tokio::test]
async fn a_record_that_came_broken_is_asked_for_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    let arxiv = Arxiv::start(Box::new(|_, arguments| {
        let day = "2026-02-10";
        match (argument(arguments, "set"), argument(arguments, "identifier")) {
            ("cs:cs:LG", _) => list(
                &[
                    record("2602.00011", "", "cs.LG", day),
                    record("2602.00012", "", "cs.LG", day),
                    record("2602.00013", "DARTS", "cs.LG", day),
                ],
                "",
                DAY,
            ),
            ("", "oai:arXiv.org:2602.00011") => oai(
                &format!("<GetRecord>{}</GetRecord>", record("2602.00011", "DARTS", "cs.LG", day)),
                DAY,
            ),
            ("", "oai:arXiv.org:2602.00012") => oai("<error code='idDoesNotExist'>no</error>", DAY),
            _ => nothing(DAY),
        }
    }))
    .await;
    let service = Service::new(dir.path(), &arxiv.base, "harvest", "keywords = [\"DARTS\"]", NOW);
    let report = service.fetch().await;
    assert_eq!(service.recorded().await, ["2602.00011", "2602.00013"]);
    assert_eq!((report.incomplete.len(), report.rejected), (0, 1));
}

#[tokio::test]
async fn a_set_that_fails_leaves_only_those_keywords_incomplete_that_need_it_and_is_caught_up_later() {
    let dir = tempfile::tempdir().expect("a folder");
    let is_down = Arc::new(Mutex::new(true));
    let down = Arc::clone(&is_down);
    let arxiv = Arxiv::start(Box::new(move |path, arguments| {
        if path == "/api/query" {
            // An incomplete harvest cannot tell floors; the query API can.
            return atom(&[("2602.00001".to_owned(), "x".to_owned(), at("2026-02-10T01:00:00Z"))]);
        }
        let (set, from) = (argument(arguments, "set"), argument(arguments, "from"));
        match set {
            "cs:cs:CL" if *down.lock().expect("nothing panics") => (500, String::new()),
            // The paper changed four days before the second harvest: only the reach behind what is owed shows it.
            "cs:cs:CL" if from <= "2026-02-10" => list(
                &[record("2602.00021", "hallucination", "cs.CL", "2026-02-10")],
                "",
                "2026-02-14",
            ),
            "cs:cs:LG" => list(&[record("2602.00011", "On DARTS", "cs.LG", "2026-02-10")], "", DAY),
            _ => nothing(DAY),
        }
    }))
    .await;
    let keywords = "keywords = [\"learned\", \"spoken\"]\n[[keyword]]\nname = \"learned\"\nquery = \"DARTS\"\ncategories = [\"cs.LG\"]\n\
                    [[keyword]]\nname = \"spoken\"\nquery = \"hallucination\"\ncategories = [\"cs.CL\"]";
    let service = Service::new(dir.path(), &arxiv.base, "harvest", keywords, NOW);
    let report = service.fetch().await;
    let incomplete: Vec<&str> = report
        .incomplete
        .iter()
        .map(|keyword| keyword.keyword.as_str())
        .collect();
    assert_eq!(incomplete, ["spoken"]);
    assert!(
        report.incomplete[0].why.contains("cs.CL"),
        "{}",
        report.incomplete[0].why
    );
    // Every keyword names categories, so no other set is read.
    assert_eq!(
        arxiv.n_asked("set=") - arxiv.n_asked("set=cs:cs:CL") - arxiv.n_asked("set=cs:cs:LG"),
        0
    );
    assert_eq!(service.recorded().await, ["2602.00011"]);

    *is_down.lock().expect("nothing panics") = false;
    service.clock.set(at("2026-02-20T07:00:00Z"));
    let report = service.fetch().await;
    assert!(report.incomplete.is_empty(), "{:?}", report.incomplete);
    assert_eq!(service.recorded().await, ["2602.00011", "2602.00021"]);
}

#[tokio::test]
async fn an_answer_without_any_record_is_not_believed_once_there_were_some() {
    let dir = tempfile::tempdir().expect("a folder");
    let is_empty = Arc::new(Mutex::new(false));
    let empty = Arc::clone(&is_empty);
    let arxiv = Arxiv::start(Box::new(move |_, arguments| match argument(arguments, "set") {
        "cs:cs:LG" if !*empty.lock().expect("nothing panics") => {
            list(&[record("2602.00011", "On DARTS", "cs.LG", "2026-02-10")], "", DAY)
        }
        _ => nothing(DAY),
    }))
    .await;
    let service = Service::new(dir.path(), &arxiv.base, "harvest", "keywords = [\"DARTS\"]", NOW);
    assert!(service.fetch().await.incomplete.is_empty());
    *is_empty.lock().expect("nothing panics") = true;
    for (now, is_believed) in [
        ("2026-02-12T07:00:00Z", false),
        ("2026-02-12T13:00:00Z", false),
        ("2026-02-13T07:00:00Z", false),
    ] {
        service.clock.set(at(now));
        let report = service.fetch().await;
        // Even the third agreeing answer of the one set leaves a harvest without a single record.
        assert_eq!(
            report.incomplete.is_empty(),
            is_believed,
            "{now}: {:?}",
            report.incomplete
        );
    }
    *is_empty.lock().expect("nothing panics") = false;
    service.clock.set(at("2026-02-14T07:00:00Z"));
    assert!(service.fetch().await.incomplete.is_empty());
}

#[tokio::test]
async fn a_service_that_is_down_is_not_asked_for_every_set_and_the_operator_hears_of_it_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let is_down = Arc::new(Mutex::new(true));
    let down = Arc::clone(&is_down);
    let arxiv = Arxiv::start(Box::new(move |_, arguments| {
        if *down.lock().expect("nothing panics") {
            return (503, String::new());
        }
        match argument(arguments, "set") {
            "cs:cs:LG" => list(&[record("2602.00011", "On DARTS", "cs.LG", "2026-02-10")], "", DAY),
            _ => nothing(DAY),
        }
    }))
    .await;
    let service = Service::new(dir.path(), &arxiv.base, "harvest", "keywords = [\"DARTS\"]", NOW);
    let stop = CancellationToken::new();
    let run = async |now: &str| {
        service.clock.set(at(now));
        let report = admin::run_everyone(&service.app, &stop).await.expect("the store works");
        admin::conclude(&service.app, report.is_complete())
            .await
            .expect("the store works");
        report
    };
    assert!(!run(NOW).await.is_complete());
    assert!(arxiv.n_asked("set=") < 30, "{}", arxiv.n_asked("set="));
    let told = || {
        let folder = std::fs::read_dir(dir.path().join("out/new"))
            .into_iter()
            .flatten()
            .flatten();
        let mails = folder.filter_map(|file| std::fs::read_to_string(file.path()).ok());
        mails.filter(|mail| mail.contains("ops@example.org")).count()
    };
    assert_eq!(told(), 0);
    run("2026-02-13T08:00:00Z").await;
    assert_eq!(told(), 1);
    run("2026-02-14T08:00:00Z").await;
    assert_eq!(told(), 1);
    *is_down.lock().expect("nothing panics") = false;
    assert!(run("2026-02-15T08:00:00Z").await.is_complete());
    assert_eq!(told(), 2);
}

#[tokio::test]
async fn the_feeds_stand_in_for_a_silent_search_and_the_full_record_follows() {
    let dir = tempfile::tempdir().expect("a folder");
    let is_down = Arc::new(Mutex::new(false));
    let down = Arc::clone(&is_down);
    let arxiv = Arxiv::start(Box::new(move |path, arguments| {
        if path == "/rss/cs.LG" {
            let item = |id: &str, kind: &str| {
                format!(
                    "<item><title>DARTS</title><link>https://arxiv.org/abs/{id}</link><description>arXiv:{id}v1 Announce Type: {kind}\n\
                     Abstract: A.</description><guid isPermaLink=\"false\">oai:arXiv.org:{id}v1</guid><category>cs.LG</category>\
                     <arxiv:announce_type>{kind}</arxiv:announce_type><dc:creator>Ana Bee</dc:creator></item>"
                )
            };
            let items = item("2602.00012", "new") + &item("2602.00013", "replace") + &item("2501.00001", "cross");
            return (
                200,
                format!(
                    "<?xml version='1.0' encoding='UTF-8'?><rss xmlns:arxiv=\"http://arxiv.org/schemas/atom\" \
                     xmlns:dc=\"http://purl.org/dc/elements/1.1/\" version=\"2.0\"><channel><title>x</title>{items}</channel></rss>"
                ),
            );
        }
        if path != "/api/query" || *down.lock().expect("nothing panics") {
            return (503, String::new());
        }
        let paper = |number: u32, day: &str| (format!("2602.000{number}"), "DARTS".to_owned(), at(&format!("{day}T01:00:00Z")));
        let known = vec![paper(11, "2026-02-10")];
        if argument(arguments, "search_query").contains("DARTS") {
            return atom(&[known, vec![paper(12, "2026-02-11")]].concat());
        }
        atom(&known)
    }))
    .await;
    let service = Service::new(dir.path(), &arxiv.base, "query", "keywords = [\"DARTS\"]", NOW);
    *is_down.lock().expect("nothing panics") = false;
    assert!(service.fetch().await.incomplete.is_empty());
    assert_eq!(arxiv.n_asked("/rss"), 0);

    // The same again on a store that has not seen the second paper.
    let service = Service::new(
        dir.path(),
        &arxiv.base,
        "query",
        "keywords = [\"DARTS\"]\ncategories = [\"cs.LG\"]",
        NOW,
    );
    let floor_only = service.fetch().await;
    assert!(floor_only.incomplete.is_empty());
    let id: ArxivId = "2602.00012".parse().expect("it is one");
    let forgotten = Service::new(
        dir.path(),
        &arxiv.base,
        "query",
        "keywords = [\"DARTS\"]\ncategories = [\"cs.LG\"]",
        NOW,
    );
    *is_down.lock().expect("nothing panics") = true;
    let report = forgotten.fetch().await;
    assert_eq!(report.incomplete.len(), 1);
    assert_eq!(arxiv.n_asked("/rss/cs.LG"), 1);
    // Without a floor nothing counts yet, but the paper is kept.
    let stored = forgotten
        .store
        .latest_papers(std::slice::from_ref(&id))
        .await
        .expect("the store works");
    let short = stored[0].as_ref().expect("the feed brought it").paper.clone();
    assert_eq!(
        (short.submitted, short.categories.as_slice()),
        (None, &["cs.LG".to_owned()][..])
    );
    // The feeds of one announcement are read once.
    forgotten.clock.set(at("2026-02-11T09:00:00Z"));
    forgotten.fetch().await;
    assert_eq!(arxiv.n_asked("/rss/cs.LG"), 1);

    *is_down.lock().expect("nothing panics") = false;
    forgotten.clock.set(at("2026-02-11T14:00:00Z"));
    assert!(forgotten.fetch().await.incomplete.is_empty());
    let stored = forgotten
        .store
        .latest_papers(std::slice::from_ref(&id))
        .await
        .expect("the store works");
    assert!(
        stored[0]
            .as_ref()
            .is_some_and(|stored| stored.paper.submitted.is_some())
    );
    assert_eq!(forgotten.recorded().await, ["2602.00011", "2602.00012"]);

    // With floors known, what the feeds announce is recorded on the same day; old papers are not.
    *is_down.lock().expect("nothing panics") = true;
    service.clock.set(at("2026-02-12T09:00:00Z"));
    assert_eq!(service.fetch().await.incomplete.len(), 1);
    assert_eq!(service.recorded().await, ["2602.00011", "2602.00012"]);
}

#[tokio::test]
async fn the_weekly_reconciliation_finds_what_searches_cannot_and_fails_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let is_down = Arc::new(Mutex::new(false));
    let down = Arc::clone(&is_down);
    let arxiv = Arxiv::start(Box::new(move |path, arguments| {
        if path == "/oai" {
            if *down.lock().expect("nothing panics") {
                return (500, String::new());
            }
            return match argument(arguments, "set") {
                "cs:cs:LG" => list(
                    &[
                        record("2602.00011", "reinforcement learning", "cs.LG", "2026-02-16"),
                        record("2602.00012", "\\textbf{R}einforcement Learning", "cs.LG", "2026-02-16"),
                    ],
                    "",
                    "2026-02-21",
                ),
                _ => nothing("2026-02-21"),
            };
        }
        atom(&[(
            "2602.00011".to_owned(),
            "Reinforcement learning".to_owned(),
            at("2026-02-16T01:00:00Z"),
        )])
    }))
    .await;
    let keywords = "keywords = [\"reinforcement learning\"]";
    let service = Service::new(dir.path(), &arxiv.base, "query", keywords, "2026-02-17T07:00:00Z");
    assert_eq!(service.fetch().await.reconciliation, None);
    assert_eq!(service.recorded().await, ["2602.00011"]);
    assert_eq!(arxiv.n_asked("/oai"), 0);

    // Down on the first weekend day: noted, no keyword suffers, tried again the day after.
    *is_down.lock().expect("nothing panics") = true;
    service.clock.set(at("2026-02-28T07:00:00Z"));
    let report = service.fetch().await;
    assert!(report.incomplete.is_empty());
    assert!(
        report
            .reconciliation
            .is_some_and(|reconciliation| !reconciliation.is_complete)
    );
    *is_down.lock().expect("nothing panics") = false;
    service.clock.set(at("2026-03-01T07:00:00Z"));
    let found = service.fetch().await.reconciliation.expect("a week has passed");
    assert_eq!((found.found_alone, found.is_complete), (1, true));
    assert_eq!(service.recorded().await, ["2602.00011", "2602.00012"]);
    service.clock.set(at("2026-03-02T07:00:00Z"));
    assert_eq!(service.fetch().await.reconciliation, None);
}

#[tokio::test]
async fn a_change_of_source_reaches_behind_the_oldest_incomplete_keyword() {
    let dir = tempfile::tempdir().expect("a folder");
    let arxiv = Arxiv::start(Box::new(|path, arguments| {
        if path == "/oai" {
            return match argument(arguments, "set") {
                "cs:cs:LG" => list(&[record("2602.00011", "DARTS", "cs.LG", "2026-02-10")], "", DAY),
                _ => nothing(DAY),
            };
        }
        atom(&[("2602.00011".to_owned(), "DARTS".to_owned(), at("2026-02-10T01:00:00Z"))])
    }))
    .await;
    let keywords = "keywords = [\"DARTS\"]";
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let on = |source: &str, now: &str| Service::on(Arc::clone(&store), dir.path(), &arxiv.base, source, keywords, now);
    on("query", NOW).fetch().await;
    // Two weeks of silence, then the other source.
    let report = on("harvest", "2026-02-27T07:00:00Z").fetch().await;
    assert!(report.incomplete.is_empty(), "{:?}", report.incomplete);
    assert_eq!(arxiv.n_asked("from=2026-02-08"), 155);
    let coverage = documents::load_all::<KeywordCoverage>(&*store, DocumentKind::Coverage)
        .await
        .expect("the store works");
    assert_eq!(coverage.len(), 1, "the former source's memory is gone: {coverage:?}");
    // And back: the window counts from the last complete harvest, and it is the deep one.
    on("query", "2026-03-20T07:00:00Z").fetch().await;
    assert_eq!(
        arxiv.n_asked("submittedDate:[20251030"),
        1,
        "{:?}",
        arxiv.requests.lock()
    );
}

/// The same days' searches as they were recorded again and again over months: arXiv goes on adding papers.
#[tokio::test]
async fn every_paper_that_ever_appears_in_a_recorded_window_is_recorded_once() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/arxiv/late_arrivals.json");
    let Ok(text) = std::fs::read_to_string(path) else {
        println!("skipped: ../shared is absent");
        return;
    };
    let days: Vec<Value> = serde_json::from_str(&text).expect("it is JSON");
    let texts = |value: &Value| -> Vec<String> {
        value
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|id| Some(id.as_str()?.to_owned()))
            .collect()
    };
    type Shown = Vec<(String, String, DateTime<Utc>)>;
    let shown: Arc<Mutex<Shown>> = Arc::default();
    let before: Arc<Mutex<Shown>> = Arc::default();
    let (answers, floors) = (Arc::clone(&shown), Arc::clone(&before));
    let arxiv = Arxiv::start(Box::new(move |path, arguments| match path {
        "/api/query" if argument(arguments, "search_query").contains("alpha") => {
            let query = argument(arguments, "search_query");
            let (_, window) = query.split_once("submittedDate:[").expect("every search has a window");
            let within: Vec<_> = answers
                .lock()
                .expect("nothing panics")
                .iter()
                .filter(|(_, _, submitted)| {
                    let minute = submitted.format("%Y%m%d%H%M").to_string();
                    window[..12] <= *minute && *minute <= window[16..28]
                })
                .cloned()
                .collect();
            atom(&within)
        }
        "/api/query" => atom(&floors.lock().expect("nothing panics")),
        _ => nothing("2025-01-01"),
    }))
    .await;
    let mut n_late = 0;
    for day in &days {
        let dir = tempfile::tempdir().expect("a folder");
        let begin = at(&format!("{}T00:30:00Z", day["day"].as_str().expect("a day")));
        let snapshots = day["snapshots"].as_array().expect("a list");
        let ever: BTreeSet<String> = snapshots
            .iter()
            .flat_map(|snapshot| texts(&snapshot["added"]))
            .collect();
        let month = ever.first().map_or("2501", |id| &id[..4]);
        *before.lock().expect("nothing panics") = vec![(
            format!("{month}.00001"),
            "before".to_owned(),
            begin - TimeDelta::days(1),
        )];
        shown.lock().expect("nothing panics").clear();
        let now = begin.to_rfc3339();
        let service = Service::new(
            dir.path(),
            &arxiv.base,
            "query",
            "keywords = [\"alpha\"]\ncategories = [\"cs.LG\"]",
            &now,
        );
        service.fetch().await;
        let mut n_recorded = 0;
        for (n, snapshot) in snapshots.iter().enumerate() {
            let added = texts(&snapshot["added"]);
            n_late += if n > 0 { added.len() } else { 0 };
            let removed = texts(&snapshot["removed"]);
            {
                let mut shown = shown.lock().expect("nothing panics");
                shown.retain(|(id, _, _)| !removed.contains(id));
                shown.extend(
                    added
                        .into_iter()
                        .map(|id| (id, "alpha".to_owned(), begin + TimeDelta::hours(12))),
                );
            }
            let fetched_at = snapshot["fetched_at"].as_str().expect("a moment");
            service
                .clock
                .set(DateTime::parse_from_rfc3339(fetched_at).expect("a moment").to_utc());
            // Once more on the same day: nothing is recorded twice.
            n_recorded += service.fetch().await.matched;
            assert_eq!(service.fetch().await.matched, 0, "{fetched_at}");
        }
        let recorded: BTreeSet<String> = service.recorded().await.into_iter().collect();
        assert_eq!(recorded, ever, "{}", day["day"]);
        assert_eq!(n_recorded, ever.len(), "{}", day["day"]);
    }
    assert!(n_late > 100, "the recording holds late papers: {n_late}");
}

/// The simulator of arXiv in `../shared/sim`, as a process of its own that ends with the test.
struct Simulator {
    process: std::process::Child,
    base: String,
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _gone_already = self.process.kill();
        let _status = self.process.wait();
    }
}

impl Simulator {
    /// `None` where it cannot be started here.
    async fn start(now: &str) -> Option<Self> {
        let shared = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared"));
        let script = shared.join("sim/arxiv_sim.py");
        if !script.exists() {
            return None;
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .ok()?
            .local_addr()
            .ok()?
            .port();
        let process = std::process::Command::new("python3")
            .arg(script)
            .arg("--corpus")
            .arg(shared.join("arxiv/corpus.jsonl"))
            .arg("--announced")
            .arg(shared.join("arxiv/corpus_announced.tsv"))
            .args(["--port", &port.to_string(), "--speed", "0", "--now", now])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .ok()?;
        let simulator = Self {
            process,
            base: format!("http://127.0.0.1:{port}"),
        };
        for _ in 0..300 {
            if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return Some(simulator);
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        None
    }

    async fn set_now(&self, now: DateTime<Utc>) {
        let address = self.base.trim_start_matches("http://");
        let body = format!("{{\"now\": \"{}\"}}", now.format("%Y-%m-%dT%H:%M:%SZ"));
        let request = format!(
            "POST /_control HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

#[tokio::test]
async fn both_sources_give_the_same_papers_over_recorded_weeks() {
    let begin = at("2026-01-19T07:00:00Z");
    let Some(simulator) = Simulator::start("2026-01-19T07:00:00Z").await else {
        println!("skipped: ../shared or python3 is absent");
        return;
    };
    let keywords = "categories = [\"cs.CL\", \"cs.AI\"]\n\
                    keywords = [\"graph neural network\", \"RAG\", \"multi-agent\", \"reinforcement learning\", \"hallucination\"]";
    let folders = [
        tempfile::tempdir().expect("a folder"),
        tempfile::tempdir().expect("a folder"),
    ];
    let services = ["query", "harvest"]
        .iter()
        .zip(&folders)
        .map(|(source, dir)| Service::new(dir.path(), &simulator.base, source, keywords, "2026-01-19T07:00:00Z"))
        .collect::<Vec<_>>();
    // The last day is a Sunday, so that the reconciliation has brought what only the harvest can find.
    for day in 0..=20 {
        let now = begin + TimeDelta::days(day);
        simulator.set_now(now).await;
        for service in &services {
            service.clock.set(now);
            let report = service.fetch().await;
            assert!(report.incomplete.is_empty(), "{now}: {:?}", report.incomplete);
        }
    }
    let by_query = services[0].recorded().await;
    assert!(by_query.len() > 100, "{}", by_query.len());
    assert_eq!(by_query, services[1].recorded().await);
}
