//! A server on loopback that answers as arXiv's query API does, from the bundled papers.
//!
//! It shows only what is announced by its clock, which stands still until the demonstration moves it. Its answers have the form of the
//! service of 2026: an Atom feed with OpenSearch totals, and for a refused query status 400 with an error feed.

use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use axum::{
    Router,
    extract::{Query as Parameters, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use chrono::{DateTime, SecondsFormat, Utc};
use quick_xml::{
    Writer,
    events::{BytesDecl, BytesText, Event},
};
use tokio::{net::TcpListener, task::JoinHandle};

use super::{
    query::Query,
    sample::{Entry, Sample},
};
use crate::clock::{Clock, ManualClock};

/// How many entries come when the request does not say.
const RESULTS_DEFAULT: usize = 10;
/// arXiv pages no further than this.
const RESULTS_MAX: usize = 10_000;

/// The running server. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Arxiv {
    address: SocketAddr,
    service: Arc<Service>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Service {
    papers: Vec<Sample>,
    clock: ManualClock,
}

impl Arxiv {
    /// Starts on a free port, with the clock at `now`.
    ///
    /// # Errors
    /// If no port of the loopback interface can be opened.
    pub(super) async fn start(papers: Vec<Sample>, now: DateTime<Utc>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let service = Arc::new(Service {
            papers,
            clock: ManualClock::new(now),
        });
        let router = Router::new()
            .route("/api/query", get(respond))
            .with_state(Arc::clone(&service));
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the demonstration's arXiv ended");
            }
        });
        Ok(Self { address, service, task })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Moves its clock.
    pub(super) fn set_time(&self, now: DateTime<Utc>) {
        self.service.clock.set(now);
    }
}

impl Drop for Arxiv {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn respond(State(service): State<Arc<Service>>, parameters: Parameters<HashMap<String, String>>) -> Response {
    let now = service.clock.now();
    let (status, body) = match Request::read(&parameters).and_then(|request| request.answer(&service.papers, now)) {
        Ok(feed) => (StatusCode::OK, feed),
        Err(refusal) => (StatusCode::BAD_REQUEST, error_feed(&refusal, now)),
    };
    (
        status,
        [(header::CONTENT_TYPE, "application/atom+xml; charset=utf-8")],
        body,
    )
        .into_response()
}

/// What is asked for.
#[derive(Debug)]
struct Request {
    search_query: String,
    start: usize,
    max_results: usize,
    sort: Sort,
    is_ascending: bool,
}

#[derive(Debug, Clone, Copy)]
enum Sort {
    Relevance,
    LastUpdated,
    Submitted,
}

impl Request {
    /// Reads the parameters; an error is the text that arXiv answers with.
    fn read(parameters: &HashMap<String, String>) -> Result<Self, String> {
        let text = |name: &str| parameters.get(name).map_or("", |value| value.trim());
        let number = |name: &str, default: usize| match text(name) {
            "" => Ok(default),
            digits => match digits.parse::<i64>() {
                Ok(number) => usize::try_from(number).map_err(|_| format!("{name} must be non-negative")),
                Err(_) => Err(format!("{name} must be an integer")),
            },
        };
        let start = number("start", 0)?;
        let max_results = number("max_results", RESULTS_DEFAULT)?;
        if start.saturating_add(max_results) > RESULTS_MAX {
            return Err(format!("start + max_results must not exceed {RESULTS_MAX}"));
        }
        if text("search_query").is_empty() {
            return Err("search_query must be given; id_list is not part of the demonstration".to_owned());
        }
        Ok(Self {
            search_query: text("search_query").to_owned(),
            start,
            max_results,
            sort: match text("sortBy") {
                "" | "relevance" => Sort::Relevance,
                "lastUpdatedDate" => Sort::LastUpdated,
                "submittedDate" => Sort::Submitted,
                _ => return Err("sortBy must be in: relevance, lastUpdatedDate, submittedDate".to_owned()),
            },
            is_ascending: match text("sortOrder") {
                "" | "descending" => false,
                "ascending" => true,
                _ => return Err("sortOrder must be in: ascending, descending".to_owned()),
            },
        })
    }

    /// The feed with this page of what is found among the papers that are announced.
    fn answer(&self, papers: &[Sample], now: DateTime<Utc>) -> Result<Vec<u8>, String> {
        let query = Query::parse(&self.search_query).map_err(|error| error.to_string())?;
        let mut found: Vec<Entry> = papers
            .iter()
            .filter_map(|paper| paper.at(now))
            .filter(|entry| query.finds(entry))
            .collect();
        match self.sort {
            Sort::Relevance => {}
            Sort::LastUpdated => found.sort_by_key(Entry::updated),
            Sort::Submitted => found.sort_by_key(|entry| entry.submitted),
        }
        if !self.is_ascending {
            found.reverse();
        }
        let title = format!(
            "arXiv Query: search_query={}&id_list=&start={}&max_results={}",
            self.search_query, self.start, self.max_results
        );
        let head = Head {
            id: "https://arxiv.org/api/paperround-demo",
            title: &title,
            now,
            per_page: self.max_results,
            total: found.len(),
            start: self.start,
        };
        Ok(feed(&head, |writer| {
            found
                .iter()
                .skip(self.start)
                .take(self.max_results)
                .try_for_each(|entry| write_entry(writer, entry))
        }))
    }
}

/// arXiv's way to refuse: a feed with one entry whose identifier points to its list of errors.
fn error_feed(refusal: &str, now: DateTime<Utc>) -> Vec<u8> {
    let fragment: String = refusal
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    let head = Head {
        id: "https://arxiv.org/",
        title: "arXiv Search Results",
        now,
        per_page: 1,
        total: 1,
        start: 0,
    };
    feed(&head, |writer| {
        writer.create_element("entry").write_inner_content(|writer| {
            text(writer, "id", &format!("https://arxiv.org/api/errors#{fragment}"))?;
            text(writer, "title", "Error")?;
            text(writer, "updated", &instant(now))?;
            text(writer, "summary", refusal)?;
            author(writer, "arXiv api core")
        })?;
        Ok(())
    })
}

struct Head<'a> {
    id: &'a str,
    title: &'a str,
    now: DateTime<Utc>,
    per_page: usize,
    total: usize,
    start: usize,
}

type Xml = Writer<Vec<u8>>;

fn feed(head: &Head<'_>, entries: impl FnOnce(&mut Xml) -> io::Result<()>) -> Vec<u8> {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    let written = (|| {
        writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        writer
            .create_element("feed")
            .with_attributes([
                ("xmlns:opensearch", "http://a9.com/-/spec/opensearch/1.1/"),
                ("xmlns:arxiv", "http://arxiv.org/schemas/atom"),
                ("xmlns", "http://www.w3.org/2005/Atom"),
            ])
            .write_inner_content(|writer| {
                text(writer, "id", head.id)?;
                text(writer, "title", head.title)?;
                text(writer, "updated", &instant(head.now))?;
                text(writer, "opensearch:itemsPerPage", &head.per_page.to_string())?;
                text(writer, "opensearch:totalResults", &head.total.to_string())?;
                text(writer, "opensearch:startIndex", &head.start.to_string())?;
                entries(writer)
            })?;
        io::Result::Ok(())
    })();
    written.expect("writing to memory cannot fail");
    writer.into_inner()
}

fn write_entry(writer: &mut Xml, entry: &Entry) -> io::Result<()> {
    const SCHEME: &str = "http://arxiv.org/schemas/atom";
    let versioned = format!("{}v{}", entry.id, entry.version);
    let optional = |writer: &mut Xml, name: &str, value: &Option<String>| match value {
        Some(value) => text(writer, name, value),
        None => Ok(()),
    };
    writer.create_element("entry").write_inner_content(|writer| {
        text(writer, "id", &format!("http://arxiv.org/abs/{versioned}"))?;
        text(writer, "title", &entry.title)?;
        text(writer, "updated", &instant(entry.updated()))?;
        link(
            writer,
            "alternate",
            "text/html",
            &format!("https://arxiv.org/abs/{versioned}"),
        )?;
        link(
            writer,
            "related",
            "application/pdf",
            &format!("https://arxiv.org/pdf/{versioned}"),
        )?;
        text(writer, "summary", &entry.abstract_text)?;
        for category in &entry.categories {
            let attributes = [("term", category.as_str()), ("scheme", SCHEME)];
            writer
                .create_element("category")
                .with_attributes(attributes)
                .write_empty()?;
        }
        text(writer, "published", &instant(entry.submitted))?;
        optional(writer, "arxiv:comment", &entry.comment)?;
        if let Some(primary) = entry.categories.first() {
            writer
                .create_element("arxiv:primary_category")
                .with_attribute(("term", primary.as_str()))
                .write_empty()?;
        }
        optional(writer, "arxiv:journal_ref", &entry.journal_ref)?;
        entry.authors.iter().try_for_each(|name| author(writer, name))?;
        optional(writer, "arxiv:doi", &entry.doi)
    })?;
    Ok(())
}

fn author(writer: &mut Xml, name: &str) -> io::Result<()> {
    writer
        .create_element("author")
        .write_inner_content(|writer| text(writer, "name", name))?;
    Ok(())
}

fn link(writer: &mut Xml, rel: &str, kind: &str, href: &str) -> io::Result<()> {
    writer
        .create_element("link")
        .with_attributes([("href", href), ("rel", rel), ("type", kind)])
        .write_empty()?;
    Ok(())
}

/// An element that holds a text, escaped.
fn text(writer: &mut Xml, name: &str, content: &str) -> io::Result<()> {
    writer
        .create_element(name)
        .write_text_content(BytesText::new(content))?;
    Ok(())
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        arxiv::{FeedError, atom},
        demo::sample,
    };

    const DAY_2: &str = "2026-02-12T07:00:00Z";

    fn ask(parameters: &[(&str, &str)]) -> Result<Vec<u8>, String> {
        let parameters = parameters
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Request::read(&parameters)?.answer(&sample::papers(), DAY_2.parse().unwrap())
    }

    #[test]
    fn the_programs_own_reader_understands_every_paper() {
        let all = "submittedDate:[202601010000 TO 202603010000]";
        let feed = atom::parse(&ask(&[("search_query", all), ("max_results", "500")]).unwrap()).unwrap();
        assert_eq!(
            (feed.total_results, feed.start_index, feed.items_per_page),
            (Some(30), Some(0), Some(500))
        );
        assert_eq!((feed.rejected.len(), feed.mended.len()), (0, 0));
        let papers = sample::papers();
        for paper in &feed.papers {
            let id = paper.id.to_string();
            let entry = papers.iter().find(|sample| sample.entry.id == id).unwrap();
            let entry = entry.at(DAY_2.parse().unwrap()).unwrap();
            assert_eq!(paper.title, entry.title);
            assert_eq!(paper.abstract_text, entry.abstract_text);
            assert_eq!(
                paper
                    .authors
                    .iter()
                    .map(|author| author.name.clone())
                    .collect::<Vec<_>>(),
                entry.authors
            );
            assert_eq!(
                (paper.version, paper.submitted, paper.updated),
                (entry.version, Some(entry.submitted), Some(entry.updated()))
            );
            assert_eq!(
                (&paper.categories, &paper.comment, &paper.doi),
                (&entry.categories, &entry.comment, &entry.doi)
            );
            assert_eq!(paper.withdrawn, id == "2602.90103", "{id}");
        }
    }

    #[test]
    fn pages_follow_one_another_in_the_order_asked_for() {
        let page = |start: &str, order: &str| {
            let feed = ask(&[
                ("search_query", "ti:\"dark matter\""),
                ("start", start),
                ("max_results", "2"),
                ("sortBy", "submittedDate"),
                ("sortOrder", order),
            ]);
            let feed = atom::parse(&feed.unwrap()).unwrap();
            assert_eq!(feed.total_results, Some(4));
            feed.papers.iter().map(|paper| paper.id.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(page("0", "descending"), ["2602.90305", "2602.90204"]);
        assert_eq!(page("2", "descending"), ["2602.90102", "2602.90021"]);
        assert_eq!(page("0", "ascending"), ["2602.90021", "2602.90102"]);
        assert_eq!(page("4", "ascending"), [""; 0]);
    }

    #[test]
    fn a_bad_request_is_refused_in_arxivs_words() {
        let check = |parameters: &[(&str, &str)], expected: &str| {
            assert_eq!(ask(parameters).unwrap_err(), expected);
        };
        let good = ("search_query", "ti:a");
        check(&[("search_query", "(ti:a")], "Invalid query string: '(ti:a'");
        check(&[good, ("start", "x")], "start must be an integer");
        check(&[good, ("max_results", "-1")], "max_results must be non-negative");
        check(
            &[good, ("sortBy", "date")],
            "sortBy must be in: relevance, lastUpdatedDate, submittedDate",
        );
        assert!(ask(&[good, ("start", "9991")]).is_err());
        assert!(ask(&[("id_list", "2602.90101")]).is_err());
    }

    #[tokio::test]
    async fn it_answers_over_http_and_moves_with_its_clock() {
        let _already_there = rustls::crypto::ring::default_provider().install_default();
        let arxiv = Arxiv::start(sample::papers(), "2026-02-11T07:00:00Z".parse().unwrap())
            .await
            .unwrap();
        let get = async |query: &str| {
            let url = format!("http://{}/api/query", arxiv.address());
            let url = reqwest::Url::parse_with_params(&url, [("search_query", query)]).unwrap();
            let response = reqwest::get(url).await.unwrap();
            (response.status().as_u16(), response.bytes().await.unwrap())
        };
        let n_found = |body: &[u8]| atom::parse(body).unwrap().total_results;
        assert_eq!(n_found(&get("cat:cs.LG").await.1), Some(7));
        arxiv.set_time(DAY_2.parse().unwrap());
        assert_eq!(n_found(&get("cat:cs.LG").await.1), Some(9));
        let (status, body) = get("ti:(").await;
        assert_eq!(status, 400);
        assert!(matches!(atom::parse(&body), Err(FeedError::ApiError { summary }) if summary.contains("'ti:('")));
    }
}
