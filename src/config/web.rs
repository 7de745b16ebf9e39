//! `[web]`: the endpoint for leaving by one click, health and metrics, and the page.

use std::net::SocketAddr;

use super::{
    problems::quote,
    section::Section,
    url::{is_loopback_url, parse_url},
};

/// The settings of `[web]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Web {
    /// Where the daemon listens; without it it serves no web endpoint.
    pub listen: Option<SocketAddr>,
    /// How readers reach it, without a slash at the end; without it one leaves by mail only.
    pub public_url: Option<String>,
    /// Whether the Daily Papers page is served at `/`.
    pub page: bool,
}

impl Web {
    pub(super) fn read(section: Section<'_>) -> Self {
        let web = Self {
            listen: read_listen(&section),
            public_url: read_public_url(&section),
            page: section.bool("page", false),
        };
        if web.listen.is_none() && section.get("listen").is_none() {
            for (key, is_set) in [("public_url", web.public_url.is_some()), ("page", web.page)] {
                if let Some(entry) = section.get(key).filter(|_| is_set) {
                    section.sink().warn(
                        &entry.place,
                        "nothing listens for it here",
                        "set listen = \"127.0.0.1:8025\", unless another machine serves it",
                    );
                }
            }
        }
        section.finish(|key| match key {
            "host" | "bind" | "port" => Some("write listen = \"127.0.0.1:8025\"".to_owned()),
            _ => None,
        });
        web
    }
}

fn read_listen(section: &Section<'_>) -> Option<SocketAddr> {
    let text = section.string("listen")?;
    let entry = section.get("listen")?;
    let text = text.trim().replace("localhost:", "127.0.0.1:");
    let listen: Option<SocketAddr> = text.parse().ok();
    if listen.is_none() {
        entry.refuse(
            format!("{} is not an address with a port (1 to 65535)", quote(&text)),
            "write \"127.0.0.1:8025\" or \"[::1]:8025\"",
        );
    }
    if listen.is_some_and(|listen| !listen.ip().is_loopback()) {
        section.sink().warn(
            &entry.place,
            "listens beyond this machine, without TLS",
            "put a proxy in front and listen on 127.0.0.1",
        );
    }
    listen
}

fn read_public_url(section: &Section<'_>) -> Option<String> {
    let text = section.string("public_url")?;
    let entry = section.get("public_url")?;
    let example = "write \"https://papers.example.org\"";
    let url = match parse_url(&text) {
        Ok(url) => url,
        Err(what) => {
            entry.refuse(what, example);
            return None;
        }
    };
    if url.query().is_some() || url.fragment().is_some() {
        entry.refuse("has a \"?\" or \"#\"", example);
    }
    if url.scheme() != "https" && !is_loopback_url(&url) {
        // RFC 8058 section 3.1 asks for HTTPS: mail programs offer one click for nothing else.
        entry.refuse(
            "begins with http://",
            "write https://: mail programs ignore anything else",
        );
    }
    Some(url.as_str().trim_end_matches('/').to_owned())
}
