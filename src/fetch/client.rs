//! One GET at a time through the gate, bounded in time and size, with a verdict on every failure.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::{StatusCode, Url, header};

use super::{
    drift,
    gate::{Effect, EnterError, Gate},
};
use crate::{
    clock::{Clock, SystemClock},
    metrics::{Metrics, Request},
    store::StoreError,
};

/// How long the connection to arXiv may take to stand.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How many redirections on the same host are followed.
const REDIRECTS_MAX: usize = 3;
/// How much of an answer is read when it is only shown to the operator.
const ERROR_BODY_BYTES_MAX: usize = 64 * 1024;
/// How much of it is quoted.
const QUOTED_CHARS_MAX: usize = 200;
/// A longer `Retry-After` than this is taken for a mistake.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3600);

/// What the client needs to know.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// Goes into the User-Agent: `mailto:` or an address of the web.
    pub contact: String,
    /// No answer may be longer than this after decompression, in bytes.
    pub response_bytes_max: u64,
    /// First wait after a 429; the gate is closed that long when the answer names no time.
    pub retry_delay: Duration,
}

/// A whole answer with status 200.
#[derive(Debug)]
pub struct Answer {
    /// The body after decompression.
    pub body: Vec<u8>,
}

/// Why a request brought nothing usable.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The gate is closed: arXiv asked for a pause, or refused access.
    #[error(transparent)]
    Closed(#[from] super::gate::Closed),
    /// Too many requests, or the service is down: worth another try after `retry_after`.
    #[error("arXiv answered {status}{}", quoted(.text))]
    Busy {
        /// The status.
        status: StatusCode,
        /// The body's beginning.
        text: String,
        /// What the answer asked for, if more than zero.
        retry_after: Option<Duration>,
    },
    /// The request itself is refused: another try cannot help.
    #[error("arXiv refused the request with {status}{}", quoted(.text))]
    Refused {
        /// The status.
        status: StatusCode,
        /// The body's beginning.
        text: String,
        /// The whole body, for an error feed.
        body: Vec<u8>,
    },
    /// 403: all traffic stops.
    #[error("arXiv denied access (403{}); all requests stop, one a day asks again, `paperround run --resume` ends the pause", quoted(.text))]
    Forbidden {
        /// The body's beginning.
        text: String,
    },
    /// No answer, or one that broke off.
    #[error("no whole answer from arXiv: {0}")]
    Broken(String),
    /// The answer is longer than allowed.
    #[error("the answer is longer than response_bytes_max ({0} bytes)")]
    TooLong(u64),
    /// The store failed while the gate noted the request.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl FetchError {
    /// Whether the same request may succeed later in this run.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Busy { .. } | Self::Broken(_) => true,
            Self::Closed(_) | Self::Refused { .. } | Self::Forbidden { .. } | Self::TooLong(_) | Self::Store(_) => {
                false
            }
        }
    }
}

fn quoted(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!(": {text}")
    }
}

/// The only thing that talks to arXiv.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    gate: Arc<Gate>,
    settings: ClientSettings,
    metrics: Arc<Metrics>,
}

impl Client {
    /// A client whose requests pass `gate` and are counted in `metrics`.
    pub fn new(settings: ClientSettings, gate: Arc<Gate>, metrics: Arc<Metrics>) -> Result<Self, reqwest::Error> {
        // Repeated installation is an error that means "already there", which is all that is needed.
        let _already_there = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .user_agent(user_agent(&settings.contact))
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_max_idle_per_host(1)
            .redirect(reqwest::redirect::Policy::custom(redirect))
            .build()?;
        Ok(Self {
            http,
            gate,
            settings,
            metrics,
        })
    }

    /// The gate that all requests pass.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Fetches one address: waits for the turn, asks, reads the whole answer within `timeout`, and tells the
    /// gate what the answer means for everyone.
    pub async fn get(&self, url: Url, timeout: Duration) -> Result<Answer, FetchError> {
        let mut turn = match self.gate.enter(timeout).await {
            Ok(turn) => turn,
            Err(EnterError::Closed(closed)) => return Err(closed.into()),
            Err(EnterError::Store(error)) => return Err(error.into()),
        };
        let timeout = timeout.max(Duration::from_millis(1));
        let mut ahead = None;
        let request = tokio::time::timeout(timeout, self.ask(url, &mut ahead));
        let result = match turn.hold(request).await {
            Ok(Ok(result)) => result,
            Ok(Err(_elapsed)) => Err(FetchError::Broken(format!(
                "it took longer than {}",
                humantime::format_duration(timeout)
            ))),
            Err(lost) => Err(FetchError::Broken(lost.to_string())),
        };
        self.metrics.requested(counted(&result));
        turn.leave(effect(&result, self.settings.retry_delay), ahead).await?;
        result
    }

    /// Asks, and notes how far the machine's clock is `ahead` of the server's, if the answer tells.
    async fn ask(&self, url: Url, ahead: &mut Option<TimeDelta>) -> Result<Answer, FetchError> {
        let asked = SystemClock.now();
        let mut response = self.http.get(url).send().await.map_err(|error| broken(&error))?;
        let answered = SystemClock.now();
        let status = response.status();
        let date = response
            .headers()
            .get(header::DATE)
            .and_then(|value| DateTime::parse_from_rfc2822(value.to_str().ok()?).ok())
            .map(|date| date.to_utc());
        let age = response
            .headers()
            .get(header::AGE)
            .map(|value| value.to_str().unwrap_or_default());
        *ahead = drift::ahead(date, age, asked, answered);
        if status == StatusCode::OK {
            let body = self.read(&mut response, self.settings.response_bytes_max).await?;
            return Ok(Answer { body });
        }
        let retry_after = response
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| retry_after(value.to_str().ok()?, date));
        let body = self
            .read(&mut response, ERROR_BODY_BYTES_MAX as u64)
            .await
            .unwrap_or_default();
        let text = excerpt(&body);
        Err(match status {
            StatusCode::FORBIDDEN => FetchError::Forbidden { text },
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => FetchError::Busy {
                status,
                text,
                retry_after,
            },
            _ if status.is_server_error() => FetchError::Busy {
                status,
                text,
                retry_after,
            },
            _ if status.is_redirection() => FetchError::Broken(format!(
                "it redirects elsewhere ({status}), which is not followed; check the address in [arxiv]"
            )),
            _ => FetchError::Refused { status, text, body },
        })
    }

    async fn read(&self, response: &mut reqwest::Response, bytes_max: u64) -> Result<Vec<u8>, FetchError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error))? {
            if (body.len() + chunk.len()) as u64 > bytes_max {
                return Err(FetchError::TooLong(bytes_max));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// Product, version and contact, as arXiv asks of automated clients.
fn user_agent(contact: &str) -> String {
    format!("paperround/{} (+{contact})", env!("CARGO_PKG_VERSION"))
}

/// The outcome as it is counted.
fn counted(result: &Result<Answer, FetchError>) -> Request {
    match result {
        Ok(_) => Request::Answered,
        Err(FetchError::Busy { .. }) => Request::Busy,
        Err(FetchError::Refused { .. }) => Request::Refused,
        Err(FetchError::Forbidden { .. }) => Request::Forbidden,
        Err(FetchError::Broken(_) | FetchError::TooLong(_) | FetchError::Closed(_) | FetchError::Store(_)) => {
            Request::Broken
        }
    }
}

/// What the outcome of one request means for all that follow.
fn effect(result: &Result<Answer, FetchError>, retry_delay: Duration) -> Effect {
    match result {
        Ok(_) | Err(FetchError::Refused { .. } | FetchError::TooLong(_)) => Effect::Reopen,
        Err(FetchError::Forbidden { text }) => Effect::Forbid {
            why: format!("arXiv denied access (403{})", quoted(text)),
        },
        Err(FetchError::Busy {
            status,
            text,
            retry_after,
        }) => {
            let named = retry_after.map(|delay| Effect::Pause {
                delay,
                why: format!("arXiv answered {status}{}", quoted(text)),
            });
            match named {
                Some(pause) => pause,
                // A 429 is meant for all requests of this operator; another failure only for this one.
                None if *status == StatusCode::TOO_MANY_REQUESTS => Effect::Pause {
                    delay: retry_delay,
                    why: format!("arXiv answered {status}{}", quoted(text)),
                },
                None => Effect::Open,
            }
        }
        Err(FetchError::Broken(_) | FetchError::Closed(_) | FetchError::Store(_)) => Effect::Open,
    }
}

/// Seconds or a date (RFC 9110, 10.2.3). Zero counts as absent: arXiv's content network sends it with a 503.
fn retry_after(value: &str, date: Option<DateTime<Utc>>) -> Option<Duration> {
    let delay = match value.trim().parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let until = DateTime::parse_from_rfc2822(value.trim()).ok()?.to_utc();
            (until - date.unwrap_or_else(|| SystemClock.now())).to_std().ok()?
        }
    };
    (!delay.is_zero()).then(|| delay.min(RETRY_AFTER_MAX))
}

/// Follows redirections as far as they lead on, some of them.
fn redirect(attempt: reqwest::redirect::Attempt<'_>) -> reqwest::redirect::Action {
    let may_follow = attempt
        .previous()
        .last()
        .is_some_and(|from| leads_on(from, attempt.url()));
    if !may_follow {
        attempt.stop()
    } else if attempt.previous().len() > REDIRECTS_MAX {
        attempt.error("too many redirections")
    } else {
        attempt.follow()
    }
}

/// Whether a redirection is followed: only to the same host, and never from https to http.
fn leads_on(from: &Url, to: &Url) -> bool {
    from.host() == to.host() && !(from.scheme() == "https" && to.scheme() != "https")
}

/// The error with its causes in one line; reqwest's own text leaves the causes out.
fn broken(error: &reqwest::Error) -> FetchError {
    let mut words = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let text = cause.to_string();
        if !words.contains(&text) {
            words = format!("{words}: {text}");
        }
        source = cause.source();
    }
    FetchError::Broken(words)
}

/// The beginning of an answer in one line, without markup or control characters.
fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let mut plain = String::new();
    let mut in_tag = false;
    for c in text.chars() {
        match c {
            '<' => in_tag = true,
            '>' if in_tag => {
                in_tag = false;
                plain.push(' ');
            }
            _ if !in_tag => plain.push(if c.is_control() { ' ' } else { c }),
            _ => {}
        }
    }
    plain
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .take(QUOTED_CHARS_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_in_both_forms_and_zero_counts_as_absent() {
        let date = DateTime::parse_from_rfc2822("Tue, 10 Feb 2026 06:00:00 GMT")
            .map(|date| date.to_utc())
            .ok();
        let check = |value: &str, expected: Option<u64>| {
            assert_eq!(retry_after(value, date), expected.map(Duration::from_secs), "{value:?}");
        };
        check("7200", Some(7200));
        check("0", None);
        check("Tue, 10 Feb 2026 06:02:00 GMT", Some(120));
        check("Tue, 10 Feb 2026 05:00:00 GMT", None);
        check("soon", None);
        check("99999999999", Some(24 * 3600));
    }

    #[test]
    fn a_redirection_is_followed_only_on_the_same_host_and_not_out_of_https() {
        let check = |from: &str, to: &str, expected: bool| {
            let (from, to) = (Url::parse(from).unwrap(), Url::parse(to).unwrap());
            assert_eq!(leads_on(&from, &to), expected, "{from} {to}");
        };
        check(
            "http://export.arxiv.org/api",
            "https://export.arxiv.org/api/query",
            true,
        );
        check(
            "https://export.arxiv.org/api",
            "https://export.arxiv.org/api/query",
            true,
        );
        check("https://export.arxiv.org/api", "http://export.arxiv.org/api", false);
        check("https://export.arxiv.org/api", "https://arxiv.org/api", false);
        check("http://export.arxiv.org/api", "https://arxiv.example.org/api", false);
    }

    #[test]
    fn an_answer_is_quoted_without_markup_or_control_characters() {
        assert_eq!(
            excerpt(b"<html><h1>Rate\x1b exceeded.</h1>\r\n</html>"),
            "Rate exceeded."
        );
        assert_eq!(excerpt(&[0xff, b'a']), "\u{fffd}a");
    }
}
