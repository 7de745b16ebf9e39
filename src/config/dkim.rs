//! `[mail.dkim]`: the signature under each mail (RFC 6376).

use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};

use super::{
    environment::Base,
    mailbox::{Mailbox, ascii_domain},
    problems::quote,
    secret::read_secret,
    section::Section,
};

/// The settings of `[mail.dkim]`.
#[derive(Debug, Clone)]
pub struct Dkim {
    /// The domain that signs, in ASCII form.
    pub domain: String,
    /// The keys that sign, each under its own selector; at least one.
    pub keys: Vec<DkimKey>,
}

/// One key of a signature.
#[derive(Debug, Clone)]
pub struct DkimKey {
    /// The selector under which the public key stands in the DNS.
    pub selector: String,
    /// Where the private key stands.
    pub key_file: PathBuf,
    /// The private key in PEM form: RSA (PKCS#8) or Ed25519.
    pub key: SecretString,
}

impl PartialEq for DkimKey {
    fn eq(&self, other: &Self) -> bool {
        (&self.selector, &self.key_file) == (&other.selector, &other.key_file)
            && self.key.expose_secret() == other.key.expose_secret()
    }
}

/// The most keys: one of each kind, and both again while keys are changed.
const KEYS_MAX: usize = 4;

impl Dkim {
    pub(super) fn read(section: Section<'_>, base: &Base, from: &Mailbox) -> Option<Self> {
        let sink = section.sink();
        let domain = read_name(&section, "domain", "\"example.org\"", ascii_domain);
        let first = read_key(&section, base);
        let also = read_also(&section, base);
        if section.is_present() {
            for key in ["domain", "selector", "key_file"] {
                if section.get(key).is_none() {
                    sink.refuse(
                        &section.place_of(key),
                        "is missing",
                        "[mail.dkim] needs domain, selector and key_file",
                    );
                }
            }
        }
        if let (Some(domain), Some(entry)) = (&domain, section.get("domain")) {
            let from_domain = from.address.rsplit_once('@').map_or("", |(_, domain)| domain);
            let is_aligned = from_domain
                .strip_suffix(domain.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
            if !is_aligned {
                // RFC 7489 section 3.1.1.
                let what = format!("is not the domain of from ({from_domain})");
                sink.warn(
                    &entry.place,
                    what,
                    "receivers that check DMARC will not count the signature",
                );
            }
        }
        let is_whole = first.is_some();
        let mut keys: Vec<DkimKey> = Vec::new();
        for key in first.into_iter().chain(also) {
            if keys.iter().any(|earlier| earlier.selector == key.selector) {
                sink.refuse(
                    &section.place_of("also"),
                    format!("the selector {} stands for two keys", key.selector),
                    "give each key a selector of its own",
                );
            } else {
                keys.push(key);
            }
        }
        section.finish(hint);
        Some(Self {
            domain: domain.filter(|_| is_whole)?,
            keys,
        })
    }
}

fn read_key(section: &Section<'_>, base: &Base) -> Option<DkimKey> {
    let selector = read_name(section, "selector", "\"pr1\"", ascii_domain);
    let key_file = section.string("key_file").map(|path| base.read(&path));
    section.note("key_file", key_file.as_ref().map(|path| path.display().to_string()));
    let key = key_file.as_ref().and_then(|path| {
        let entry = section.get("key_file")?;
        let mend = "name a private key in PEM form, readable for the daemon";
        match read_secret(path) {
            Ok(key) if key.expose_secret().contains("PRIVATE KEY-----") => Some(key),
            Ok(_) => {
                entry.refuse(format!("{} holds no private key", path.display()), mend);
                None
            }
            Err(what) => {
                entry.refuse(what, mend);
                None
            }
        }
    });
    Some(DkimKey {
        selector: selector?,
        key_file: key_file?,
        key: key?,
    })
}

/// Further keys: with an RSA and an Ed25519 key each mail carries both signatures.
fn read_also(section: &Section<'_>, base: &Base) -> Vec<DkimKey> {
    let Some(entry) = section.get("also") else {
        section.note("also", None);
        return Vec::new();
    };
    let tables = entry.inline_tables();
    if tables.len() >= KEYS_MAX {
        entry.refuse(
            format!("has {} keys", tables.len()),
            format!("allowed: up to {}", KEYS_MAX - 1),
        );
    }
    let keys: Vec<DkimKey> = tables
        .into_iter()
        .filter_map(|table| {
            let key = read_key(&table, base);
            if table.get("selector").is_none() || table.get("key_file").is_none() {
                table.sink().refuse(
                    table.place(),
                    "a key needs selector and key_file",
                    "write { selector = \"pr2\", key_file = \"/etc/paperround/dkim-ed25519.pem\" }",
                );
            }
            table.finish(hint);
            key
        })
        .collect();
    let shown: Vec<String> = keys
        .iter()
        .map(|key| format!("{} {}", key.selector, key.key_file.display()))
        .collect();
    section.note("also", Some(format!("[{}]", shown.join(", "))));
    keys
}

/// Nobody writes a key into the configuration itself.
fn hint(key: &str) -> Option<String> {
    (key == "key" || key == "private_key").then(|| "name the file of the key: key_file".to_owned())
}

fn read_name(
    section: &Section<'_>,
    key: &'static str,
    example: &str,
    parse: impl Fn(&str) -> Option<String>,
) -> Option<String> {
    let text = section.string(key)?;
    let name = parse(text.trim());
    if name.is_none() {
        section.get(key)?.refuse(
            format!("{} is not a name in the DNS", quote(&text)),
            format!("write it like {example}"),
        );
    }
    name
}
