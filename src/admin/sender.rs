//! What the sender's domain must publish, and what Gmail, Yahoo and Outlook still miss. Pure: nothing is looked up.

use crate::{
    app::{self, AppError},
    config::{Config, Transport},
};

/// From this many mails a day on, Gmail and Outlook count a domain among the bulk senders and demand all of it.
const BULK_MAILS_PER_DAY: usize = 5_000;

/// Domains whose owners tell receivers (DMARC) to refuse mail that their own servers have not sent.
const FREE_MAIL: [&str; 14] = [
    "aol.com",
    "gmail.com",
    "gmx.de",
    "gmx.net",
    "googlemail.com",
    "hotmail.com",
    "icloud.com",
    "live.com",
    "mail.ru",
    "me.com",
    "msn.com",
    "outlook.com",
    "yahoo.com",
    "ymail.com",
];

/// A TXT record to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// Where it stands in the DNS.
    pub(super) name: String,
    /// Its text.
    pub(super) text: String,
    /// What to know before it is copied; empty where it can be copied as it is.
    pub(super) hint: &'static str,
}

/// What the answer depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts<'a> {
    /// The domain of `mail.from`.
    pub(super) from_domain: &'a str,
    /// The domain of `mail.envelope_sender`.
    pub(super) envelope_domain: &'a str,
    /// The domain that signs here, if one does.
    pub(super) dkim_domain: Option<&'a str>,
    /// The web part's address.
    pub(super) public_url: Option<&'a str>,
    /// Whether a mailbox for leaving is configured.
    pub(super) has_unsubscribe_address: bool,
    /// How many people get mail.
    pub(super) n_subscribers: usize,
    /// The relays, where there are several.
    pub(super) relays: Vec<&'a str>,
}

impl<'a> Facts<'a> {
    fn of(config: &'a Config) -> Self {
        let domain = |address: &'a str| address.rsplit_once('@').map_or("", |(_, domain)| domain);
        Self {
            from_domain: domain(&config.mail.from.address),
            envelope_domain: domain(&config.mail.envelope_sender),
            dkim_domain: config.mail.dkim.as_ref().map(|dkim| dkim.domain.as_str()),
            public_url: config.web.public_url.as_deref(),
            has_unsubscribe_address: config.mail.unsubscribe_address.is_some(),
            n_subscribers: config.subscribers().len(),
            relays: match &config.mail.transport {
                Transport::Smtp(relays) if !relays.further.is_empty() => {
                    relays.iter().map(|relay| relay.host.as_str()).collect()
                }
                Transport::Smtp(_) | Transport::Sendmail { .. } | Transport::Maildir { .. } => Vec::new(),
            },
        }
    }
}

/// What `check` says about it, in lines; nothing where no mail leaves the machine.
///
/// # Errors
/// A configured key that cannot sign.
pub(super) fn lines(config: &Config) -> Result<Vec<String>, AppError> {
    let signer = app::signer(config)?;
    if matches!(config.mail.transport, Transport::Maildir { .. }) && signer.is_none() {
        return Ok(Vec::new());
    }
    let facts = Facts::of(config);
    let keys = signer.map_or_else(Vec::new, |signer| signer.dns_records());
    let mut lines = vec![
        String::new(),
        "To publish in the DNS, as TXT records where none is yet".to_owned(),
    ];
    let records = records(&facts, keys);
    for record in &records {
        lines.push(format!("  {}", record.name));
        lines.push(format!("    {}", record.text));
        if !record.hint.is_empty() {
            lines.push(format!("    ({})", record.hint));
        }
    }
    lines.push(String::new());
    let demands = demands(&facts);
    if demands.is_empty() {
        lines.push(
            "What Gmail, Yahoo and Outlook demand of bulk senders is met as far as it is configured here.".to_owned(),
        );
    } else {
        lines.push("What Gmail, Yahoo and Outlook demand of bulk senders and is not met yet".to_owned());
        lines.extend(demands.iter().map(|demand| format!("  {demand}")));
    }
    lines.push(
        "  Not to be seen from here: the relay's address needs a reverse name that leads back to it, TLS towards \
         receivers, and fewer than 3 complaints in 1,000 mails."
            .to_owned(),
    );
    Ok(lines)
}

/// DKIM keys, then SPF (RFC 7208) for the envelope sender, then DMARC (RFC 7489) for the domain of From.
pub(super) fn records(facts: &Facts<'_>, keys: Vec<(String, String)>) -> Vec<Record> {
    let keys = keys.into_iter().map(|(name, text)| Record { name, text, hint: "" });
    let spf = match facts.relays.as_slice() {
        [] => Record {
            name: facts.envelope_domain.to_owned(),
            text: "v=spf1 include:RELAY -all".to_owned(),
            hint: "RELAY is what the relay's operator names for SPF; a domain has one SPF record, so add to what is there",
        },
        // Each of them sends in our name sooner or later.
        relays => {
            let includes: Vec<String> = relays.iter().map(|host| format!("include:RELAY({host})")).collect();
            Record {
                name: facts.envelope_domain.to_owned(),
                text: format!("v=spf1 {} -all", includes.join(" ")),
                hint: "RELAY(host) is what that relay's operator names for SPF; all of them stand in the one SPF record of the domain",
            }
        }
    };
    let dmarc = Record {
        name: format!("_dmarc.{}", facts.from_domain),
        text: format!("v=DMARC1; p=none; rua=mailto:postmaster@{}", facts.from_domain),
        hint: "p=none only watches; go on to p=quarantine when the reports show nothing but your own servers",
    };
    keys.chain([spf, dmarc]).collect()
}

/// Each demand that the configuration does not meet: who demands it, and what to do.
pub(super) fn demands(facts: &Facts<'_>) -> Vec<String> {
    let from = facts.from_domain;
    let mut demands = Vec::new();
    if FREE_MAIL.contains(&from.to_ascii_lowercase().as_str()) {
        demands.push(format!(
            "From (all): {from} lets only its own servers send in its name; use an address of a domain of yours in mail.from"
        ));
    }
    match facts.dkim_domain {
        None => demands.push(format!(
            "DKIM (all): nothing is signed here; configure [mail.dkim], or make sure that the relay signs for {from}"
        )),
        Some(domain) if !are_aligned(domain, from) => demands.push(format!(
            "DMARC (all): {domain} signs and does not stand for {from}; sign with mail.dkim.domain = \"{from}\""
        )),
        Some(_) => {}
    }
    if !are_aligned(facts.envelope_domain, from) {
        demands.push(format!(
            "SPF (Outlook wants it besides DKIM): bounces go to {}, which does not stand for {from}; set mail.envelope_sender within {from}",
            facts.envelope_domain
        ));
    }
    match facts.public_url {
        Some(url) if url.starts_with("https://") => {}
        Some(_) => demands.push(
            "leaving by one click (Gmail, Yahoo; RFC 8058): mail programs follow https only; give web.public_url such an address".to_owned(),
        ),
        None if facts.has_unsubscribe_address => demands.push(
            "leaving by one click (Gmail; Yahoo recommends it; RFC 8058): readers can leave by mail only; set web.listen and web.public_url".to_owned(),
        ),
        None => demands.push(
            "leaving by one click (Gmail, Yahoo; RFC 8058): readers can only write to a person; set web.listen and web.public_url, or at least mail.unsubscribe_address".to_owned(),
        ),
    }
    if !demands.is_empty() && facts.n_subscribers < BULK_MAILS_PER_DAY {
        demands.push(format!(
            "With {} you are below the 5,000 mails a day from which all of it is enforced; receivers look at it all the same.",
            match facts.n_subscribers {
                1 => "1 subscriber".to_owned(),
                n => format!("{n} subscribers"),
            }
        ));
    }
    demands
}

/// Relaxed alignment (RFC 7489, 3.1), as far as names show it: the same domain, or one below the other.
fn are_aligned(one: &str, other: &str) -> bool {
    let is_below = |inner: &str, outer: &str| {
        inner
            .strip_suffix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    let (one, other) = (one.to_ascii_lowercase(), other.to_ascii_lowercase());
    is_below(&one, &other) || is_below(&other, &one)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Facts<'_> = Facts {
        from_domain: "example.org",
        envelope_domain: "bounces.example.org",
        dkim_domain: Some("example.org"),
        public_url: Some("https://papers.example.org"),
        has_unsubscribe_address: true,
        n_subscribers: 12,
        relays: Vec::new(),
    };

    #[test]
    fn each_demand_is_named_while_it_is_not_met() {
        let check = |facts: Facts<'_>, expected: &[&str]| {
            let demands = demands(&facts);
            let begins: Vec<&str> = demands
                .iter()
                .map(|demand| demand.split([' ', ':']).next().unwrap())
                .collect();
            assert_eq!(begins, expected, "{demands:#?}");
        };
        check(GOOD, &[]);
        let dkim = |dkim_domain| Facts { dkim_domain, ..GOOD };
        check(dkim(None), &["DKIM", "With"]);
        check(dkim(Some("mail.example.org")), &[]);
        check(dkim(Some("example.net")), &["DMARC", "With"]);
        check(dkim(Some("notexample.org")), &["DMARC", "With"]);
        let envelope = |envelope_domain| Facts {
            envelope_domain,
            ..GOOD
        };
        check(envelope("EXAMPLE.org"), &[]);
        check(envelope("relay.example.net"), &["SPF", "With"]);
        let url = |public_url, has_unsubscribe_address| Facts {
            public_url,
            has_unsubscribe_address,
            ..GOOD
        };
        check(url(None, true), &["leaving", "With"]);
        check(url(None, false), &["leaving", "With"]);
        check(url(Some("http://127.0.0.1:8025"), true), &["leaving", "With"]);
        let free = Facts {
            from_domain: "Gmail.com",
            envelope_domain: "gmail.com",
            dkim_domain: Some("gmail.com"),
            n_subscribers: 6_000,
            ..GOOD
        };
        check(free, &["From"]);
    }

    #[test]
    fn the_spf_record_names_every_relay() {
        let facts = Facts {
            relays: vec!["smtp.example.org", "smtp.example.net"],
            ..GOOD
        };
        let records = records(&facts, Vec::new());
        assert_eq!(
            records[0].text,
            "v=spf1 include:RELAY(smtp.example.org) include:RELAY(smtp.example.net) -all"
        );
    }

    #[test]
    fn keys_spf_and_dmarc_are_published_where_receivers_look() {
        let keys = vec![(
            "pr1._domainkey.example.org".to_owned(),
            "v=DKIM1; k=rsa; p=AA".to_owned(),
        )];
        let records = records(&GOOD, keys);
        let shape: Vec<(&str, &str)> = records
            .iter()
            .map(|record| (record.name.as_str(), record.text.as_str()))
            .collect();
        assert_eq!(
            shape,
            [
                ("pr1._domainkey.example.org", "v=DKIM1; k=rsa; p=AA"),
                ("bounces.example.org", "v=spf1 include:RELAY -all"),
                (
                    "_dmarc.example.org",
                    "v=DMARC1; p=none; rua=mailto:postmaster@example.org"
                ),
            ]
        );
    }
}
