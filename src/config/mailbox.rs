//! Names and addresses of people: what RFC 5321 and RFC 5322 allow, as far as a relay will take it.

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

use super::problems::quote;

/// The longest name, in characters.
const NAME_CHARS_MAX: usize = 200;
/// The longest local part, in bytes (RFC 5321 section 4.5.3.1.1).
const LOCAL_BYTES_MAX: usize = 64;
/// The longest address, in bytes (RFC 5321 section 4.5.3.1.3 without the angle brackets).
const ADDRESS_BYTES_MAX: usize = 254;
/// The characters that make a name in a header mean something else unless it is quoted (RFC 5322 section 3.2.3).
const SPECIALS: &[char] = &['(', ')', '<', '>', '[', ']', ':', ';', '@', '\\', ',', '"'];

/// A name and an address, as they stand in a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// The name without quotes; free of control and direction characters.
    pub name: Option<String>,
    /// The address: local part as written, domain in ASCII form and lower case.
    pub address: String,
}

impl Mailbox {
    /// Reads `ana@example.net`, `Ana <ana@example.net>` or `"Müller, Anna" <anna@example.net>`.
    ///
    /// # Errors
    ///
    /// What is wrong and how to write it.
    pub(super) fn parse(text: &str) -> Result<Self, Wrong> {
        refuse_hidden(text)?;
        let text = text.trim();
        let Some(bracketed) = text.strip_suffix('>') else {
            return Ok(Self {
                name: None,
                address: parse_address(text)?,
            });
        };
        let Some((name, address)) = bracketed.rsplit_once('<') else {
            return wrong(
                format!("{} lacks a \"<\"", quote(text)),
                "write: Name <name@example.org>",
            );
        };
        if is_list(text) {
            return Err(two_addresses(text));
        }
        let address = parse_address(address.trim())?;
        let name = parse_name(name.trim(), &address)?;
        Ok(Self { name, address })
    }

    /// The address in lower case: what tells people apart.
    pub(super) fn key(&self) -> String {
        self.address.to_lowercase()
    }
}

impl std::fmt::Display for Mailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.name {
            None => f.write_str(&self.address),
            Some(name) if name.contains(SPECIALS) => write!(f, "{} <{}>", quoted_form(name), self.address),
            Some(name) => write!(f, "{name} <{}>", self.address),
        }
    }
}

/// What is wrong with a value, and how to mend it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) what: String,
    pub(super) mend: String,
}

fn wrong<T>(what: impl Into<String>, mend: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong {
        what: what.into(),
        mend: mend.into(),
    })
}

/// Refuses characters that are not seen but change what a header, a terminal or a reader makes of the text.
pub(super) fn refuse_hidden(text: &str) -> Result<(), Wrong> {
    let Some(hidden) = text.chars().find(|c| is_hidden(*c)) else {
        return Ok(());
    };
    let kind = match hidden {
        '\r' | '\n' => "a line break",
        '\t' => "a tab",
        c if c.is_control() => "a control character",
        _ => "an invisible character",
    };
    wrong(
        format!("{} holds {kind} (U+{:04X})", quote(text), u32::from(hidden)),
        "delete it",
    )
}

/// Control characters, line separators, and the marks that turn the direction of text or hide in it.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// A name that stands in a key of its own, where no quoting is needed.
pub(super) fn check_name(name: &str) -> Result<Option<String>, Wrong> {
    refuse_hidden(name)?;
    let name = name.trim();
    if name.chars().count() > NAME_CHARS_MAX {
        return wrong(
            format!("{} is longer than {NAME_CHARS_MAX} characters", quote(name)),
            "shorten it",
        );
    }
    Ok((!name.is_empty()).then(|| name.to_owned()))
}

fn parse_name(written: &str, address: &str) -> Result<Option<String>, Wrong> {
    let quoted = written.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let Some(quoted) = quoted else {
        if written.contains(SPECIALS) {
            return wrong(
                format!("the name {} holds one of ( ) < > [ ] : ; @ \\ , \"", quote(written)),
                format!("put it in quotes: '{} <{address}>'", quoted_form(&unquote(written))),
            );
        }
        return check_name(written);
    };
    check_name(&unquote(quoted))
}

fn quoted_form(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Resolves the backslashes of a quoted string (RFC 5322 section 3.2.4).
fn unquote(quoted: &str) -> String {
    let mut name = String::with_capacity(quoted.len());
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => name.extend(chars.next()),
            c => name.push(c),
        }
    }
    name
}

/// Whether the text holds more than one address outside quotes.
fn is_list(text: &str) -> bool {
    let mut is_quoted = false;
    let mut is_escaped = false;
    let mut n_at = 0;
    for c in text.chars() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            '@' if !is_quoted => n_at += 1,
            _ => {}
        }
    }
    n_at > 1 && text.contains([',', ';', ' '])
}

fn two_addresses(text: &str) -> Wrong {
    Wrong {
        what: format!("{} holds more than one address", quote(text)),
        mend:
            "give each person a [[subscriber]] table, or list them as strings: [\"a@example.org\", \"b@example.org\"]"
                .to_owned(),
    }
}

/// Checks an address without a name and brings its domain into ASCII form.
pub(super) fn parse_address(text: &str) -> Result<String, Wrong> {
    refuse_hidden(text)?;
    let text = text.trim();
    let shape = "write one address such as name@example.org";
    if is_list(text) {
        return Err(two_addresses(text));
    }
    let Some((local, domain)) = text.rsplit_once('@') else {
        return wrong(format!("{} is not a mail address: it has no @", quote(text)), shape);
    };
    let is_atom = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    if let Some(c) = local.chars().find(|c| !is_atom(*c) || c.is_whitespace()) {
        let what = format!(
            "{} is not a mail address: {} stands before the @",
            quote(text),
            quote(&c.to_string())
        );
        return wrong(what, shape);
    }
    if local.is_empty() || local.starts_with('.') || local.ends_with('.') || local.contains("..") {
        let what = format!(
            "{} is not a mail address: what stands before the @ is empty or has a dot too many",
            quote(text)
        );
        return wrong(what, shape);
    }
    let Some(domain) = ascii_domain(domain) else {
        return wrong(
            format!(
                "{} is not a mail address: {} is not a domain",
                quote(text),
                quote(domain)
            ),
            shape,
        );
    };
    if local.len() > LOCAL_BYTES_MAX || local.len() + 1 + domain.len() > ADDRESS_BYTES_MAX {
        return wrong(
            format!("{} is longer than a mail address may be", quote(text)),
            "at most 64 bytes before the @ and 254 in all",
        );
    }
    // What the mail library does not take must be said here, not in the middle of a delivery.
    if lettre::Address::new(local, &domain).is_err() {
        return wrong(format!("{} is not a mail address", quote(text)), shape);
    }
    Ok(format!("{local}@{domain}"))
}

/// The domain in ASCII form and lower case (RFC 5891), if it can be one.
pub(super) fn ascii_domain(domain: &str) -> Option<String> {
    Uts46::new()
        .to_ascii(
            domain.as_bytes(),
            AsciiDenyList::STD3,
            Hyphens::CheckFirstLast,
            DnsLength::Verify,
        )
        .ok()
        .map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mailboxes_are_read_as_people_write_them() {
        let check = |text: &str, name: Option<&str>, address: &str| {
            let expected = Mailbox {
                name: name.map(str::to_owned),
                address: address.to_owned(),
            };
            let found = Mailbox::parse(text).unwrap_or_else(|wrong| panic!("{text:?}: {wrong:?}"));
            assert_eq!(found, expected, "{text:?}");
            assert_eq!(
                Mailbox::parse(&found.to_string()),
                Ok(expected),
                "{text:?} shown as {found}"
            );
        };
        check("ana@example.net", None, "ana@example.net");
        check(
            " Ana.Maria+arxiv.ml@Example.NET ",
            None,
            "Ana.Maria+arxiv.ml@example.net",
        );
        check("<ana@example.net>", None, "ana@example.net");
        check("José Núñez <jose@example.net>", Some("José Núñez"), "jose@example.net");
        check(
            "Überblick-Bot <digest@example.org>",
            Some("Überblick-Bot"),
            "digest@example.org",
        );
        check(
            "\"Müller, Anna\" <anna@example.net>",
            Some("Müller, Anna"),
            "anna@example.net",
        );
        check(
            r#""Anna \"A\" M." <anna@example.net>"#,
            Some("Anna \"A\" M."),
            "anna@example.net",
        );
        check("\"a@b, c@d\" <anna@example.net>", Some("a@b, c@d"), "anna@example.net");
        check(
            "Dr. Anna M. <anna@example.net>",
            Some("Dr. Anna M."),
            "anna@example.net",
        );
        check("käthe@example.net", None, "käthe@example.net");
        check("k@bücher.example", None, "k@xn--bcher-kva.example");
        check("root@localhost", None, "root@localhost");
        check("o'neil/x=y@example.net", None, "o'neil/x=y@example.net");
    }

    #[test]
    fn what_is_not_one_address_is_refused_with_its_mend() {
        let check = |text: &str, what: &str, mend: &str| {
            let wrong = Mailbox::parse(text).unwrap_err();
            assert!(
                wrong.what.contains(what) && wrong.mend.contains(mend),
                "{text:?}: {wrong:?}"
            );
        };
        check(
            "Müller, Anna <anna@example.net>",
            "the name",
            "'\"Müller, Anna\" <anna@example.net>'",
        );
        check(
            "Anna (Lab 3) <anna@example.net>",
            "the name",
            "'\"Anna (Lab 3)\" <anna@example.net>'",
        );
        check(
            "ana@example.net, bo@example.net",
            "more than one address",
            "[[subscriber]]",
        );
        check(
            "ana@example.net;bo@example.net",
            "more than one address",
            "[[subscriber]]",
        );
        check(
            "Ana <ana@example.net>, Bo <bo@example.net>",
            "more than one address",
            "[[subscriber]]",
        );
        check("ana", "has no @", "name@example.org");
        check("", "has no @", "name@example.org");
        check("@example.net", "is empty", "name@example.org");
        check("a..b@example.net", "dot too many", "name@example.org");
        check("a b@example.net", "\" \" stands before the @", "name@example.org");
        check("\"a b\"@example.net", "stands before the @", "name@example.org");
        check("x@[127.0.0.1]", "is not a domain", "name@example.org");
        check("x@example..net", "is not a domain", "name@example.org");
        check("x@-example.net", "is not a domain", "name@example.org");
        check("x@", "is not a domain", "name@example.org");
        check("ana@example.net>", "lacks a", "Name <");
        check(
            "ana@example.net\r\nBcc: bo@example.net",
            "a line break (U+000D)",
            "delete",
        );
        check("Ana\n <ana@example.net>", "a line break (U+000A)", "delete");
        check(
            "Ana \u{202e} <ana@example.net>",
            "an invisible character (U+202E)",
            "delete",
        );
        check("ana\u{7}@example.net", "a control character (U+0007)", "delete");
        check(&format!("{}@example.net", "a".repeat(65)), "longer than", "64 bytes");
        check(
            &format!("{} <a@example.net>", "n".repeat(201)),
            "longer than 200",
            "shorten",
        );
    }
}
