//! `[arxiv]`: where the papers come from and how politely they are asked for.

use std::time::Duration;

use super::{
    mailbox::{parse_address, refuse_hidden},
    section::Section,
    units::{DAY, HOUR, MINUTE, SECOND, show_duration},
    url::{is_example_host, is_loopback_url, parse_url},
};

/// The least pause between two requests to arXiv itself (its terms of use: one request every three seconds).
const REQUEST_INTERVAL_MIN: Duration = Duration::from_secs(3);

/// How the papers are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A search per keyword.
    Query,
    /// Everything new by OAI-PMH, matched here.
    Harvest,
    /// A search per keyword up to 100 keywords, else harvest.
    Auto,
}

/// The settings of `[arxiv]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arxiv {
    /// Whom arXiv may write to, as a `mailto:` or web address; part of the User-Agent.
    pub contact: Option<String>,
    /// How the papers are found.
    pub source: Source,
    /// The search interface.
    pub api_url: String,
    /// The OAI-PMH interface.
    pub oai_url: String,
    /// The folder of the RSS feeds, without a slash at its end.
    pub rss_url: String,
    /// The pause between the end of one answer and the next request.
    pub request_interval: Duration,
    /// How long one answer may take.
    pub timeout: Duration,
    /// How long one OAI-PMH answer may take.
    pub oai_timeout: Duration,
    /// The first wait after a failure; it doubles up to 15 minutes.
    pub retry_delay: Duration,
    /// How far back each window reaches, counted from the keyword's last complete fetch.
    pub lookback: Duration,
    /// How far back the weekly window reaches.
    pub lookback_deep: Duration,
    /// How many entries one page of a search asks for.
    pub page_size: u32,
    /// The largest answer that is read, in bytes after decompression.
    pub response_bytes_max: u64,
    /// How long one run goes on retrying.
    pub retry_budget: Duration,
}

impl Arxiv {
    pub(super) fn read(section: Section<'_>) -> Self {
        let contact = read_contact(&section);
        let source = section.choice(
            "source",
            Source::Auto,
            &[
                ("query", Source::Query),
                ("harvest", Source::Harvest),
                ("auto", Source::Auto),
            ],
        );
        let mut is_loopback = true;
        let mut read_url = |key, default: &str| {
            let (url, url_is_loopback) = read_url(&section, key, default);
            is_loopback &= url_is_loopback;
            url
        };
        let api_url = read_url("api_url", "https://export.arxiv.org/api/query");
        let oai_url = read_url("oai_url", "https://oaipmh.arxiv.org/oai");
        let rss_url = read_url("rss_url", "https://rss.arxiv.org/rss")
            .trim_end_matches('/')
            .to_owned();

        let request_interval = section.duration("request_interval", REQUEST_INTERVAL_MIN, Duration::ZERO..=HOUR);
        if request_interval < REQUEST_INTERVAL_MIN && !is_loopback {
            let place = section.get("request_interval").map(|entry| entry.place);
            section.sink().refuse(
                &place.unwrap_or_else(|| section.place_of("request_interval")),
                format!("{} is less than arXiv allows", show_duration(request_interval)),
                "write \"3s\" or more (less is for test servers: all three addresses on a loopback host)",
            );
        }
        // Test servers on this machine may be asked again at once.
        let retry_delay_min = if is_loopback { Duration::from_millis(1) } else { SECOND };
        let lookback = section.duration("lookback", 45 * DAY, DAY..=365 * DAY);
        let lookback_deep = section.duration("lookback_deep", (120 * DAY).max(lookback), DAY..=1_000 * DAY);
        if lookback_deep < lookback {
            section.sink().refuse(
                &section
                    .get("lookback_deep")
                    .map_or_else(|| section.place_of("lookback_deep"), |entry| entry.place),
                format!("{} is less than lookback", show_duration(lookback_deep)),
                format!("write {:?} or more", show_duration(lookback)),
            );
        }
        let arxiv = Self {
            contact,
            source,
            api_url,
            oai_url,
            rss_url,
            request_interval,
            timeout: section.duration("timeout", MINUTE, SECOND..=10 * MINUTE),
            oai_timeout: section.duration("oai_timeout", 200 * SECOND, SECOND..=30 * MINUTE),
            retry_delay: section.duration("retry_delay", 30 * SECOND, retry_delay_min..=15 * MINUTE),
            lookback,
            lookback_deep,
            page_size: section.number("page_size", 500, 1..=2_000),
            response_bytes_max: section.size("response_bytes_max", 64 << 20, 64 << 10..=1 << 30),
            retry_budget: section.duration("retry_budget", 20 * MINUTE, SECOND..=6 * HOUR),
        };
        section.finish(|key| match key {
            "max_results" => Some("the size of a page is page_size".to_owned()),
            "lookback_days" => Some("write lookback = \"45d\"".to_owned()),
            "timeout_secs" | "timeout_seconds" => Some("write timeout = \"60s\"".to_owned()),
            _ => None,
        });
        arxiv
    }

    /// Whether every interface is on this machine: a test server, not arXiv.
    pub fn is_loopback(&self) -> bool {
        self.urls()
            .all(|url| parse_url(url).is_ok_and(|url| is_loopback_url(&url)))
    }

    /// Whether an interface is arXiv itself.
    pub fn is_real(&self) -> bool {
        self.urls().any(|url| {
            let host = parse_url(url).ok().and_then(|url| url.host_str().map(str::to_owned));
            host.is_some_and(|host| host == "arxiv.org" || host.ends_with(".arxiv.org"))
        })
    }

    /// Why arXiv itself must not be asked under this contact; `None` when it may.
    pub(super) fn contact_problem(&self) -> Option<String> {
        if !self.is_real() {
            return None;
        }
        let mend =
            "arXiv asks who is calling: set it to an address that reaches you, such as \"mailto:you@your-domain\"";
        let Some(contact) = &self.contact else {
            return Some(format!("arxiv.contact is not set; {mend}"));
        };
        let host = match contact.strip_prefix("mailto:") {
            Some(address) => address.rsplit_once('@').map(|(_, domain)| domain.to_owned()),
            None => parse_url(contact)
                .ok()
                .and_then(|url| url.host_str().map(str::to_owned)),
        };
        host.is_none_or(|host| is_example_host(&host))
            .then(|| format!("arxiv.contact = {contact:?} is an example; {mend}"))
    }

    fn urls(&self) -> impl Iterator<Item = &str> {
        [&self.api_url, &self.oai_url, &self.rss_url]
            .into_iter()
            .map(String::as_str)
    }
}

/// The contact as a `mailto:` or web address that fits into a header.
fn read_contact(section: &Section<'_>) -> Option<String> {
    let text = section.string("contact")?;
    let entry = section.get("contact")?;
    if let Err(wrong) = refuse_hidden(&text) {
        entry.refuse(wrong.what, wrong.mend);
        return None;
    }
    let text = text.trim();
    if text.starts_with("https://") || text.starts_with("http://") {
        return match parse_url(text) {
            Ok(url) => Some(url.to_string()),
            Err(what) => {
                entry.refuse(what, "write \"mailto:you@your-domain\" or a web address");
                None
            }
        };
    }
    match parse_address(text.strip_prefix("mailto:").unwrap_or(text)) {
        Ok(address) if address.is_ascii() => Some(format!("mailto:{address}")),
        Ok(_) => {
            entry.refuse(
                "holds letters that a User-Agent cannot carry",
                "use an address of ASCII letters",
            );
            None
        }
        Err(wrong) => {
            entry.refuse(wrong.what, wrong.mend);
            None
        }
    }
}

/// The address of an interface, and whether it is on this machine.
fn read_url(section: &Section<'_>, key: &'static str, default: &str) -> (String, bool) {
    let configured = section.string(key);
    let text = configured.as_deref().unwrap_or(default).trim();
    section.note(key, Some(format!("{text:?}")));
    let refuse = |what: &str, mend: &str| {
        if let Some(entry) = section.get(key) {
            entry.refuse(what, mend);
        }
    };
    let url = match parse_url(text) {
        Ok(url) => url,
        Err(what) => {
            refuse(what, &format!("the default is {default:?}"));
            return (default.to_owned(), false);
        }
    };
    if url.query().is_some() || url.fragment().is_some() {
        refuse("has a \"?\" or \"#\"", "leave that part out: the daemon adds its own");
    }
    let host = url.host_str().unwrap_or_default();
    if url.scheme() == "http" && (host == "arxiv.org" || host.ends_with(".arxiv.org")) {
        refuse("begins with http://", "write https://: arXiv only redirects there");
    }
    (text.to_owned(), is_loopback_url(&url))
}
