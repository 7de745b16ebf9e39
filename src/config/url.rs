//! Addresses on the web and names of hosts.

use std::net::IpAddr;

use reqwest::Url;

use super::mailbox::ascii_domain;

/// Reads an absolute `http` or `https` address without user and password.
///
/// # Errors
///
/// What is wrong with it. The address is not repeated, since it may hold a secret.
pub(super) fn parse_url(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text.trim()).map_err(|_| "is not a web address such as https://example.org/path")?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err("is not a web address that begins with https://");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user name or password");
    }
    Ok(url)
}

/// Whether the address leads to this machine only.
pub(super) fn is_loopback_url(url: &Url) -> bool {
    url.host_str()
        .is_some_and(|host| is_loopback_host(host.trim_start_matches('[').trim_end_matches(']')))
}

/// Whether the name or number is this machine.
pub(super) fn is_loopback_host(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        // RFC 6761 section 6.3.
        Err(_) => {
            let host = host.to_ascii_lowercase();
            host == "localhost" || host.ends_with(".localhost")
        }
    }
}

/// The host in the form in which it is looked up, if it can be one.
pub(super) fn parse_host(text: &str) -> Option<String> {
    let text = text.trim();
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    match bare.parse::<IpAddr>() {
        Ok(address) => Some(address.to_string()),
        // Four numbers that are not an address are no name either.
        Err(_) if bare.bytes().all(|b| b.is_ascii_digit() || b == b'.') => None,
        Err(_) => ascii_domain(text.strip_suffix('.').unwrap_or(text)),
    }
}

/// Whether the host is one of the names that RFC 2606 keeps for examples.
pub(super) fn is_example_host(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    [
        "example",
        "example.org",
        "example.net",
        "example.com",
        "invalid",
        "test",
    ]
    .iter()
    .any(|name| host == *name || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_told_apart() {
        let check = |host: &str, parsed: Option<&str>, is_loopback: bool| {
            assert_eq!(parse_host(host).as_deref(), parsed, "{host:?}");
            assert_eq!(parsed.is_some_and(is_loopback_host), is_loopback, "{host:?}");
        };
        check("smtp.example.org", Some("smtp.example.org"), false);
        check("SMTP.bücher.example", Some("smtp.xn--bcher-kva.example"), false);
        check("localhost", Some("localhost"), true);
        check("mail.localhost.", Some("mail.localhost"), true);
        check("127.3.2.1", Some("127.3.2.1"), true);
        check("[::1]", Some("::1"), true);
        check("192.0.2.1", Some("192.0.2.1"), false);
        check("localhost.example.org", Some("localhost.example.org"), false);
        check("smtp.example.org:587", None, false);
        check("300.1.1.1", None, false);
        check("a b", None, false);
        check("", None, false);
    }

    #[test]
    fn example_hosts_are_recognised() {
        for host in ["example.org", "mail.Example.com", "x.test", "example"] {
            assert!(is_example_host(host), "{host}");
        }
        for host in ["notexample.org", "example.de", "arxiv.org"] {
            assert!(!is_example_host(host), "{host}");
        }
    }
}
