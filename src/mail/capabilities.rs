//! What a relay offers in its reply to EHLO.

use lettre::transport::smtp::authentication::Mechanism;
use lettre::transport::smtp::response::Response;

/// How many login mechanisms are remembered, for the words of an error.
const MECHANISMS_MAX: usize = 20;

/// The extensions that this program uses, and the login mechanisms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// STARTTLS (RFC 3207).
    pub starttls: bool,
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// 8BITMIME (RFC 6152).
    pub eight_bit: bool,
    /// SMTPUTF8 (RFC 6531).
    pub utf8: bool,
    /// SIZE (RFC 1870): offered, with the largest message in bytes, 0 where the relay names no limit.
    pub size: Option<u64>,
    /// The mechanisms behind AUTH (RFC 4954), in capitals, as the relay orders them.
    pub mechanisms: Vec<String>,
}

impl Capabilities {
    /// Reads the lines after the first, which only greets. Keywords are compared without case (RFC 5321, section 2.4).
    pub fn parse(response: &Response) -> Self {
        let mut offered = Self::default();
        for line in response.message().skip(1) {
            let mut words = line.split_ascii_whitespace();
            let Some(keyword) = words.next().map(str::to_ascii_uppercase) else {
                continue;
            };
            match keyword.as_str() {
                "STARTTLS" => offered.starttls = true,
                "PIPELINING" => offered.pipelining = true,
                "8BITMIME" => offered.eight_bit = true,
                "SMTPUTF8" => offered.utf8 = true,
                "SIZE" => offered.size = Some(words.next().and_then(|word| word.parse().ok()).unwrap_or(0)),
                "AUTH" => offered.add_mechanisms(words),
                // Before RFC 2554 some relays wrote `AUTH=LOGIN PLAIN`; a few still do, beside the present form.
                _ => {
                    if let Some(first) = keyword.strip_prefix("AUTH=") {
                        offered.add_mechanisms(std::iter::once(first).chain(words));
                    }
                }
            }
        }
        offered
    }

    /// Whether the relay offers to log in this way.
    pub fn has(&self, mechanism: Mechanism) -> bool {
        let name = mechanism.to_string();
        self.mechanisms.contains(&name)
    }

    fn add_mechanisms<'a>(&mut self, words: impl Iterator<Item = &'a str>) {
        for word in words {
            let word = word.to_ascii_uppercase();
            if self.mechanisms.len() < MECHANISMS_MAX && !self.mechanisms.contains(&word) {
                self.mechanisms.push(word);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ehlo_lines_are_read_in_any_case() {
        #[track_caller]
        fn check(text: &str, expected: &Capabilities) {
            assert_eq!(Capabilities::parse(&text.parse().unwrap()), *expected, "{text:?}");
        }
        check("250 relay.example.org\r\n", &Capabilities::default());
        check("250 PIPELINING\r\n", &Capabilities::default());
        check(
            "250-relay\r\n250-size 35882577\r\n250-StartTLS\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n\
             250-auth plain LOGIN\r\n250-AUTH=LOGIN XOAUTH2\r\n250-\r\n250 X-OTHER\r\n",
            &Capabilities {
                starttls: true,
                pipelining: true,
                eight_bit: true,
                utf8: true,
                size: Some(35_882_577),
                mechanisms: ["PLAIN", "LOGIN", "XOAUTH2"].map(str::to_owned).to_vec(),
            },
        );
        let no_limit = Capabilities {
            size: Some(0),
            ..Capabilities::default()
        };
        check("250-relay\r\n250 SIZE\r\n", &no_limit);
        check("250-relay\r\n250 SIZE 99999999999999999999999\r\n", &no_limit);
    }
}
