//! The only addresses that a mail links to.
//!
//! What comes from a feed is never used as an address: it is read into its parts, and an address of a known form is
//! built from them.

use super::Settings;
use crate::model::{ArxivId, Paper};

/// A link with what it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    /// `PDF`
    pub(super) label: String,
    /// Its address, without any character that HTML would escape except `&` in configured links.
    pub(super) href: String,
}

/// The longest DOI and the longest path that are linked.
const DOI_LEN_MAX: usize = 120;
const PATH_LEN_MAX: usize = 120;
/// Links of the operator's own that are shown per paper.
const CONFIGURED_MAX: usize = 4;
/// arXiv makes HTML of papers that were given their identifier from December 2023 on.
const HTML_SINCE: (u16, u8) = (2023, 12);

/// Hosts of code, data and models, with what a link there is called.
const HOSTS: [(&str, &str); 5] = [
    ("github.com", "Code"),
    ("gitlab.com", "Code"),
    ("codeberg.org", "Code"),
    ("huggingface.co", "Hugging Face"),
    ("zenodo.org", "Zenodo"),
];

/// The abstract page.
pub(super) fn abstract_page(id: &ArxivId) -> String {
    format!("https://arxiv.org/abs/{id}")
}

/// PDF, HTML, DOI, code, then the operator's own, in this order; of a withdrawn paper there is no PDF or HTML.
pub(super) fn of_paper(paper: &Paper, settings: &Settings) -> Vec<Link> {
    let link = |label: &str, href: String| Link {
        label: label.to_owned(),
        href,
    };
    let id = &paper.id;
    let mut links = Vec::new();
    if !paper.withdrawn {
        links.push(pdf(id));
        if id.year_month() >= HTML_SINCE {
            links.push(link("HTML", format!("https://arxiv.org/html/{id}")));
        }
    }
    links.extend(doi(paper.doi.as_deref().unwrap_or_default()).map(|href| link("DOI", href)));
    links.extend(
        paper
            .comment
            .as_deref()
            .and_then(hosted)
            .or_else(|| hosted(&paper.abstract_text)),
    );
    let configured = settings.links.iter().take(CONFIGURED_MAX);
    links.extend(configured.map(|own| link(&own.name, own.url.replace("{id}", &id.to_string()))));
    links
}

/// The PDF.
pub(super) fn pdf(id: &ArxivId) -> Link {
    Link {
        label: "PDF".to_owned(),
        href: format!("https://arxiv.org/pdf/{id}"),
    }
}

/// The address of the first valid DOI in a field that may hold several or none: `10.` and a registrant of digits, a
/// slash, and a suffix of characters that need no escape.
pub fn doi(field: &str) -> Option<String> {
    field.split([' ', ',', ';']).find_map(|word| {
        let word = ["https://doi.org/", "http://dx.doi.org/", "doi:", "DOI:"]
            .iter()
            .find_map(|prefix| word.strip_prefix(prefix))
            .unwrap_or(word);
        let (registrant, suffix) = word.strip_prefix("10.")?.split_once('/')?;
        let is_valid = word.len() <= DOI_LEN_MAX
            && (4..=9).contains(&registrant.len())
            && registrant.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
            && !suffix.is_empty()
            && suffix
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._()/:".contains(&byte))
            && !suffix.contains("..");
        is_valid.then(|| format!("https://doi.org/{word}"))
    })
}

/// The first address in a text on one of [`HOSTS`] with a path of unreserved characters (RFC 3986, 2.3).
fn hosted(text: &str) -> Option<Link> {
    let mut found: Vec<(usize, Link)> = HOSTS
        .iter()
        .filter_map(|(host, label)| {
            text.match_indices(host)
                .filter(|(at, _)| starts_address(&text[..*at]))
                .find_map(|(at, _)| Some((at, path(text[at + host.len()..].strip_prefix('/')?)?)))
                .map(|(at, path)| {
                    let link = Link {
                        label: (*label).to_owned(),
                        href: format!("https://{host}/{path}"),
                    };
                    (at, link)
                })
        })
        .collect();
    found.sort_by_key(|(at, _)| *at);
    found.into_iter().next().map(|(_, link)| link)
}

/// Whether a host's name can begin here: at the start of a word, perhaps after a scheme.
fn starts_address(before: &str) -> bool {
    let before = ["https://", "http://"]
        .iter()
        .find_map(|scheme| before.strip_suffix(scheme))
        .unwrap_or(before);
    before
        .chars()
        .next_back()
        .is_none_or(|c| c.is_whitespace() || "([{<,;:\"'".contains(c))
}

/// The path at the beginning of `text`, which must end with the word: what goes on with a query or another sign is
/// not linked at all, since half an address leads elsewhere.
fn path(text: &str) -> Option<String> {
    // TeX writes `\_` for an underscore.
    let text = text.replace("\\_", "_");
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || "-._~/".contains(c)))
        .unwrap_or(text.len());
    let rest = text[end..].chars().next();
    if rest.is_some_and(|c| !(c.is_whitespace() || ")]}>,;:!?\"'\\".contains(c)))
        || text[end..].starts_with('?')
            && !text[end + 1..].is_empty()
            && !text[end + 1..].starts_with(char::is_whitespace)
        || text[end..].starts_with(':') && text[end + 1..].starts_with(|c: char| !c.is_whitespace())
    {
        return None;
    }
    let path = text[..end].trim_end_matches(['.', '-', '/']);
    let is_valid = path.len() <= PATH_LEN_MAX
        && path
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != "..")
        && path.contains('/');
    is_valid.then(|| path.to_owned())
}

/// Whether an address of our own (configured or made by us) may be linked: `https`, or `http` for a public URL inside
/// a house, or `mailto`, in printable ASCII without quotes and angle brackets.
pub(super) fn is_own(href: &str) -> bool {
    ["https://", "http://", "mailto:"]
        .iter()
        .any(|scheme| href.len() > scheme.len() && href.starts_with(scheme))
        && href.len() <= OWN_LEN_MAX
        && href
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"\"'<>\\".contains(&byte))
}

/// The longest own address: it stands unbroken in one line of the text part.
const OWN_LEN_MAX: usize = 500;

/// `mailto:` with a subject. The address is taken only if nothing in it could end it early.
pub(super) fn mail_to(address: &str, subject: &str) -> Option<String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"@.-_+=!~*".contains(&byte);
    let address = address.strip_prefix("mailto:").unwrap_or(address);
    (address.len() <= OWN_LEN_MAX / 2 && address.contains('@') && address.bytes().all(is_plain)).then(|| {
        let mut href = format!("mailto:{}?subject=", address.replace('+', "%2B"));
        for byte in subject.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                href.push(char::from(byte));
            } else {
                href.push_str(&format!("%{byte:02X}"));
            }
        }
        href
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doi_is_linked_only_when_it_is_one() {
        let check = |field: &str, expected: Option<&str>| assert_eq!(doi(field).as_deref(), expected, "{field:?}");
        check(
            "10.1145/3744916.3787832",
            Some("https://doi.org/10.1145/3744916.3787832"),
        );
        check(
            "10.1007/3-540-40988-2_10 10.1000/182",
            Some("https://doi.org/10.1007/3-540-40988-2_10"),
        );
        check("https://doi.org/10.1000/a(b)c", Some("https://doi.org/10.1000/a(b)c"));
        check("none, 10.1000/182", Some("https://doi.org/10.1000/182"));
        for bad in [
            "",
            "10.1000",
            "10.1000/",
            "10./x",
            "10.1000/\"onclick=x",
            "10.1000/<script>",
            "javascript:alert(1)",
            "10.1000/../../evil",
            "10.1000/x?y#z",
        ] {
            check(bad, None);
        }
        check(&format!("10.1000/{}", "a".repeat(200)), None);
    }

    #[test]
    fn code_is_linked_only_on_known_hosts_with_a_plain_path() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(hosted(text).map(|link| link.href).as_deref(), expected, "{text:?}");
        };
        check("Code: https://github.com/ana/gnn.", Some("https://github.com/ana/gnn"));
        check(
            r"see \url{http://github.com/ana/my\_gnn}",
            Some("https://github.com/ana/my_gnn"),
        );
        check(
            "(gitlab.com/a/b/-/tree/main)",
            Some("https://gitlab.com/a/b/-/tree/main"),
        );
        check(
            "data https://zenodo.org/records/1, code https://codeberg.org/a/b",
            Some("https://zenodo.org/records/1"),
        );
        check("Is it at https://github.com/a/b?", Some("https://github.com/a/b"));
        for bad in [
            "https://github.com.evil.example/a/b",
            "https://evil.example/github.com/a/b",
            "https://user@github.com/a/b",
            "https://notgithub.com/a/b",
            "https://github.com/",
            "https://github.com/a",
            "https://github.com/a/../b",
            "https://github.com//a/b",
            "https://github.com/a/b?x=1",
            "https://github.com/a/b#x",
            "https://github.com/a/b%2e%2e/c",
            "https://github.com/a/b&c",
            "https://github.com:8080/a/b",
            "https://github.com/a/b:8080",
            "https://github.com/é/b",
            "javascript:github.com/a/b=1",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn mailto_subjects_are_encoded_and_odd_addresses_refused() {
        let check = |address: &str, expected: Option<&str>| {
            assert_eq!(mail_to(address, "Pause: a & b").as_deref(), expected, "{address:?}");
        };
        check(
            "ops@example.org",
            Some("mailto:ops@example.org?subject=Pause%3A%20a%20%26%20b"),
        );
        check(
            "mailto:a+b@example.org",
            Some("mailto:a%2Bb@example.org?subject=Pause%3A%20a%20%26%20b"),
        );
        check("a@example.org?bcc=x@example.net", None);
        check("Ana <a@example.org>", None);
        check("nobody", None);
    }

    #[test]
    fn own_addresses_hold_nothing_that_could_leave_an_attribute() {
        for (href, expected) in [
            ("https://papers.example.org/u/abc", true),
            ("mailto:leave@example.org?subject=x", true),
            ("javascript:alert(1)", false),
            ("https://", false),
            ("https://x/\"y", false),
            ("https://x/ y", false),
            ("https://x/\ny", false),
        ] {
            assert_eq!(is_own(href), expected, "{href:?}");
        }
    }
}
