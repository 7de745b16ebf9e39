//! The twenty-five checks that a mail must pass before it may be sent to anybody, each with mails that must fail it.
//!
//! Every test is called by its check's number, so that `check_07` finds all that holds it: the endpoints of 7 and 8 are in
//! `web_cases`, the report of 10 in `mail::bounce`, the kills of 25 in `crash_cases`. 15, 16 and 24 need tools of others and
//! are in `tests/mail-tools.sh`, which calls them by the same names and repeats 4, 5 and 6 with three more verifiers.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails, and its line says where"
)]

mod checks;
mod corpus;
mod html;
mod page;
mod service;

use std::{
    borrow::Borrow,
    collections::HashMap,
    fs,
    hash::Hash,
    io::Write as _,
    process::{Command, Stdio},
    sync::{LazyLock, Mutex},
};

use mail_auth::{
    AuthenticatedMessage, DkimResult, MessageAuthenticator, Parameters, ResolverCache, Txt,
    common::{parse::TxtRecordParser as _, verify::DomainKey},
};
use paperround::{
    clock::{Clock as _, SystemClock},
    model::{DigestId, SubscriberId},
};

use checks::Verdict;
use corpus::{DOMAIN, Mail, frozen_at, mail, mails, recorded};

/// What each check is run on, made once.
static MAILS: LazyLock<Vec<Mail>> = LazyLock::new(|| mails(frozen_at()));

/// Every mail passes, and each spoilt one fails.
fn holds(check: fn(&Mail) -> Verdict, spoil: impl FnOnce(&Mail) -> Vec<Mail>) {
    for mail in MAILS.iter() {
        if let Err(why) = check(mail) {
            panic!("{}: {why}", mail.name);
        }
    }
    let whole = MAILS.iter().find(|mail| mail.name == "recorded-12").unwrap();
    for (index, spoilt) in spoil(whole).iter().enumerate() {
        assert!(check(spoilt).is_err(), "spoilt mail {index} passes");
    }
}

/// CASES 86.
#[test]
fn check_01_single_headers_stand_once_and_receivers_headers_not_at_all() {
    holds(checks::single_headers, |mail| {
        vec![
            mail.with_raw("\r\nSubject:", "\r\nSubject: other\r\nSubject:"),
            mail.with_raw("\r\nDate:", "\r\nX-Date:"),
            mail.with_raw("\r\nTo:", "\r\nBcc: x@example.com\r\nTo:"),
            mail.with_raw("\r\nTo:", "\r\nAuthentication-Results: example.org\r\nTo:"),
        ]
    });
}

/// CASES 91.
#[test]
fn check_02_the_message_id_is_the_digests_own_in_lower_case_under_the_senders_domain() {
    holds(checks::message_id, |mail| {
        vec![
            mail.with_raw("Message-ID: <pr1.", "Message-ID: <PR1."),
            mail.with_raw("@example.org>\r\nMIME", "@example.net>\r\nMIME"),
        ]
    });
    let id = |subscriber: &str, number| {
        let digest = DigestId {
            subscriber: SubscriberId(subscriber.into()),
            number,
        };
        // Keys are read anew each time, as after a restart.
        corpus::keys().message_id(&digest, DOMAIN)
    };
    assert_eq!(id("ana", 12), id("ana", 12));
    assert!(id("ana", 12) != id("bo", 12) && id("ana", 12) != id("ana", 13));
}

#[test]
fn check_03_the_same_digest_is_the_same_bytes() {
    let papers = recorded();
    let again = |at| mail("recorded-12", &papers[..12], at).raw;
    let first = again(frozen_at());
    assert_eq!(first, again(frozen_at()));
    // Of another moment the date, and with it both signatures, are others.
    assert_ne!(first, again(frozen_at() + chrono::TimeDelta::seconds(1)));
    assert_ne!(first, mail("recorded-13", &papers[..12], frozen_at()).raw);
}

#[tokio::test]
async fn check_04_both_signatures_are_valid_and_no_tampered_one_is() {
    for mail in MAILS.iter() {
        assert_eq!(n_valid(mail).await, 2, "{}", mail.name);
    }
    let whole = mail("recorded-12", &recorded()[..12], frozen_at());
    for spoilt in [
        whole.with_raw("\r\nSubject: ", "\r\nSubject: Re: "),
        whole.with_raw("text/plain", "text/html"),
        whole.with_raw("\r\nFrom:", "\r\nSubject: other\r\nFrom:"),
        whole.with_raw("multipart/alternative", "multipart/mixed"),
        whole.with_raw("One-Click", "One-Clack"),
    ] {
        assert_eq!(n_valid(&spoilt).await, 0);
    }
}

#[test]
fn check_05_signatures_cover_every_header_that_matters_once_more_than_it_stands() {
    holds(checks::oversigned, |mail| {
        vec![
            mail.with_raw("list-unsubscribe-post:list-unsubscribe-post", "list-unsubscribe-post"),
            mail.with_raw("\r\nFrom:", "\r\nSubject: other\r\nFrom:"),
            mail.with_raw("c=relaxed/relaxed", "c=simple/simple"),
        ]
    });
}

#[test]
fn check_06_the_signing_domain_is_exactly_that_of_from() {
    holds(checks::signing_domain, |mail| {
        vec![
            mail.with_raw("d=example.org;", "d=mail.example.org;"),
            mail.with_raw("<papers@example.org>", "<papers@example.net>"),
        ]
    });
}

#[test]
fn check_07_one_click_leaving_is_offered_as_rfc_8058_has_it() {
    holds(checks::one_click, |mail| {
        vec![
            mail.with_raw("One-Click", "one-click"),
            mail.with_raw("List-Unsubscribe: <https://", "List-Unsubscribe: <http://"),
            mail.with_raw("\r\nList-Unsubscribe-Post:", "\r\nX-Post:"),
            mail.with_raw("List-Unsubscribe: ", "List-Unsubscribe: <https://example.org/>, "),
        ]
    });
    // A service without an address on the web must not offer a click that nobody answers.
    let by_mail = MAILS.iter().find(|mail| mail.name == "by-mail-only").unwrap();
    for spoilt in [
        by_mail.with_raw(
            "\r\nPrecedence:",
            "\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nPrecedence:",
        ),
        by_mail.with_raw("List-Unsubscribe: ", "List-Unsubscribe: <https://example.org/u>, "),
        by_mail.with_raw("List-Unsubscribe: <mailto:", "List-Unsubscribe: <tel:"),
    ] {
        assert!(checks::one_click(&spoilt).is_err());
    }
}

#[test]
fn check_09_the_mail_says_that_it_is_automatic_and_bulk_with_a_constant_feedback_id() {
    holds(checks::bulk_headers, |mail| {
        vec![
            mail.with_raw("auto-generated", "no"),
            mail.with_raw("Precedence: bulk", "Precedence: list"),
            mail.with_raw("digest:exampleorg", "digest:pr"),
            mail.with_raw("daily:papers", "daily12:papers"),
        ]
    });
}

#[test]
fn check_10_the_envelope_sender_is_short_and_leads_back_to_its_subscriber_only() {
    let keys = corpus::keys();
    let ana = SubscriberId("ana".into());
    let token = keys.sign_envelope(&ana);
    checks::envelope_sender(&format!("bounces+{token}@example.org")).unwrap();
    assert!(checks::envelope_sender(&format!("bounces+{}@example.org", "a".repeat(60))).is_err());
    assert!(checks::envelope_sender("bounces+ana=40example.net@example.org").is_err());
    assert!(keys.verify_envelope(&token).is_ok());
    let mut forged = token.clone().into_bytes();
    let last = forged.last_mut().unwrap();
    *last = if *last == b'a' { b'b' } else { b'a' };
    assert!(keys.verify_envelope(std::str::from_utf8(&forged).unwrap()).is_err());
    assert_ne!(token, keys.sign_envelope(&SubscriberId("bo".into())));
}

/// CASES 93.
#[test]
fn check_11_lines_are_short_plain_and_ended_as_mail_ends_them() {
    holds(checks::plain_lines, |mail| {
        let long = format!("\r\nX-Long: {}\r\nFrom:", "x".repeat(1_000));
        vec![
            mail.with_raw("\r\nFrom:", &long),
            mail.with_raw("\r\nFrom:", "\nFrom:"),
            mail.with_raw("Paper round", "Päper round"),
            mail.with_raw("\r\n--", &format!("\r\n{}\r\n--", "y".repeat(77))),
            mail.with_text("new papers", "new\u{85}papers"),
            mail.with_html("new papers", "new\u{7}papers"),
        ]
    });
}

#[test]
fn check_12_nothing_from_a_feed_or_a_name_becomes_a_header() {
    holds(checks::known_headers, |mail| {
        vec![
            mail.with_raw("\r\nTo:", "\r\nBcc: x@example.com\r\nTo:"),
            mail.with_raw("\r\nReply-To:", "\r\nX-Reply-To:"),
        ]
    });
}

#[test]
fn check_13_the_html_fits_whatever_came_and_the_mail_says_what_waits() {
    let big = MAILS.iter().find(|mail| mail.name == "recorded-400").unwrap();
    assert!(big.n_cut > 0 && big.n_cut < 100, "{} papers wait", big.n_cut);
    let n_cut = format!("{} more papers", big.n_cut);
    assert!(checks::size(&big.with_html(&n_cut, "1 more papers")).is_err());
    assert!(checks::size(&big.with_text(&n_cut, "1 more papers")).is_err());
    holds(checks::size, |mail| {
        let filler = format!("<p>{}</p></body>", "filler ".repeat(13_000));
        vec![
            mail.with_html("</body>", &filler),
            mail.with_html("</body>", "<p>3 more papers wait for the next digest.</p></body>"),
        ]
    });
}

#[test]
fn check_14_every_part_is_utf_8_and_reads_as_it_was_written() {
    holds(checks::charset, |mail| {
        vec![
            mail.with_raw("charset=utf-8", "charset=iso-8859-1"),
            mail.with_html("arXiv", "arxiv"),
            mail.with_text("arXiv", "arxiv"),
        ]
    });
    let Some(read) = read_with_python(&MAILS) else { return };
    for (mail, [text, html]) in MAILS.iter().zip(read) {
        assert_eq!(text.trim_end(), mail.text.trim_end(), "{}", mail.name);
        assert_eq!(html.trim_end(), mail.html.trim_end(), "{}", mail.name);
    }
}

#[test]
fn check_17_only_markup_that_mail_programs_keep_is_used() {
    holds(page::allowed_markup, |mail| {
        [
            "<details>x</details>",
            "<svg></svg>",
            "<p style=\"display:flex\">x</p>",
            "<p style=\"color:rgb(0 0 0)\">x</p>",
            "<p style=\"padding:4px\">x</p>",
            "<p id=\"x\">x</p>",
        ]
        .iter()
        .map(|bad| mail.with_html("</body>", &format!("{bad}</body>")))
        .chain([mail.with_html("<style>", "<style>@import x;")])
        .collect()
    });
}

#[test]
fn check_18_nothing_is_loaded_and_links_lead_only_where_they_may() {
    holds(page::nothing_remote, |mail| {
        [
            "<p style=\"background-color:url(https://example.org/x)\">x</p>",
            "<span src=\"https://example.org/x\">x</span>",
            "<a href=\"https://example.org/\">x</a>",
            "<a href=\"http://arxiv.org/abs/2602.00001\">x</a>",
            "<a href=\"javascript:alert(1)\">x</a>",
            "<a href=\"https://github.com.example.net/a\">x</a>",
            "<a href=\"https://arxiv.org/abs/../x\">x</a>",
        ]
        .iter()
        .map(|bad| mail.with_html("</body>", &format!("{bad}</body>")))
        .collect()
    });
}

#[test]
fn check_19_nothing_is_hidden_and_the_first_line_says_what_is_new() {
    holds(page::nothing_hidden, |mail| {
        [
            "<p style=\"display:none\">x</p>",
            "<p style=\"font-size:0\">x</p>",
            "<p style=\"opacity:0\">x</p>",
            "<p style=\"color:#ffffff;background-color:#ffffff\">x</p>",
        ]
        .iter()
        .map(|bad| mail.with_html("</body>", &format!("{bad}</body>")))
        .chain([mail.with_html("<table", "<p>x</p><table")])
        .collect()
    });
}

/// CASES 73.
#[test]
fn check_20_every_text_reads_on_its_ground_in_light_and_dark_is_large_enough_and_links_are_underlined() {
    holds(page::contrast, |mail| {
        [
            "<p style=\"color:#999999;font-size:14px\">x</p>",
            "<p class=\"i\" style=\"color:#1b2026;font-size:13px\">x</p>",
            // A colour without a rule for the dark scheme.
            "<p style=\"color:#1b2026;font-size:14px\">x</p>",
            "<p class=\"i\" style=\"color:#1b2026;font-size:14px\"><a class=\"a\" href=\"#\" style=\"color:#0b4fb3\">x</a></p>",
        ]
        .iter()
        .map(|bad| {
            mail.with_html(
                "</td></tr>\n</table>\n</body>",
                &format!("{bad}</td></tr>\n</table>\n</body>"),
            )
        })
        .collect()
    });
}

#[test]
fn check_21_the_page_has_language_headings_roles_and_named_links() {
    holds(page::structure, |mail| {
        vec![
            mail.with_html(" lang=\"en\"", ""),
            mail.with_html("<table role=\"presentation\"", "<table"),
            mail.with_html("</body>", "<h1>x</h1></body>"),
            mail.with_html("</h1>", "</h1><h3>x</h3>"),
            mail.with_html("</body>", "<a href=\"https://arxiv.org/\">here</a></body>"),
            mail.with_html("</body>", "<a href=\"https://arxiv.org/\">Stop for good</a></body>"),
            mail.with_html("</body>", "<a href=\"https://arxiv.org/\"></a></body>"),
        ]
    });
}

#[test]
fn check_22_both_parts_have_the_same_links_in_the_same_order_and_the_text_keeps_its_width() {
    holds(page::both_parts_agree, |mail| {
        vec![
            mail.with_html("https://arxiv.org/abs/", "https://arxiv.org/pdf/"),
            mail.with_text("https://arxiv.org/abs/", "https://arxiv.org/pdf/"),
            mail.with_text("\n\n", &format!("\n\n{}\n", "word ".repeat(20))),
            mail.with_text("<https://papers.example.org/u/", "<https://papers.example.org/x/"),
        ]
    });
}

#[test]
fn check_23_tex_is_converted_or_left_as_its_author_wrote_it() {
    holds(page::tex_is_whole_or_gone, |mail| {
        vec![
            mail.with_text("\n\n", "\n\nO(\\fracn²)\n"),
            mail.with_text("\n\n", "\n\nłog n\n"),
            mail.with_text("\n\n", "\n\nn²^/³\n"),
        ]
    });
}

/// Writes every mail, with today's date, for the verifiers and validators of `tests/mail-tools.sh`.
#[test]
fn mails_are_written_for_the_tools() {
    let dir = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("mails");
    fs::create_dir_all(&dir).unwrap();
    let records: HashMap<String, HashMap<&str, Vec<Vec<String>>>> = corpus::signer()
        .dns_records()
        .into_iter()
        .chain([
            (DOMAIN.to_owned(), "v=spf1 ip4:5.9.9.9 -all".to_owned()),
            (format!("_dmarc.{DOMAIN}"), "v=DMARC1; p=reject; adkim=s".to_owned()),
        ])
        .map(|(name, text)| {
            // A string of a TXT record holds 255 octets.
            let strings: Vec<String> = text
                .as_bytes()
                .chunks(250)
                .map(|chunk| String::from_utf8_lossy(chunk).into_owned())
                .collect();
            (name, HashMap::from([("TXT", vec![strings])]))
        })
        .collect();
    fs::write(dir.join("dns.json"), serde_json::to_string_pretty(&records).unwrap()).unwrap();
    for mail in mails(SystemClock.now()) {
        fs::write(dir.join(format!("{}.eml", mail.name)), &mail.raw).unwrap();
        fs::write(dir.join(format!("{}.html", mail.name)), mail.parts().1).unwrap();
    }
    fs::write(dir.join("notice.html"), corpus::notice(SystemClock.now())).unwrap();
    let whole = mail("recorded-12", &recorded()[..12], SystemClock.now());
    for (name, spoilt) in [
        (
            "spoilt-from",
            whole.with_raw("<papers@example.org>", "<papers@example.net>"),
        ),
        (
            "spoilt-subject",
            whole.with_raw("\r\nFrom:", "\r\nSubject: other\r\nFrom:"),
        ),
        (
            "spoilt-type",
            whole.with_raw("multipart/alternative", "multipart/mixed"),
        ),
        ("spoilt-body", whole.with_html("arXiv", "arxiv")),
        // A text part that has nothing to do with the page.
        ("spoilt-text", whole.with_parts("Buy now! ".repeat(40), whole.parts().1)),
    ] {
        fs::write(dir.join(format!("{name}.eml")), &spoilt.raw).unwrap();
    }
}

/// The published records, so that no verifier asks the network.
struct Records(Mutex<HashMap<Box<str>, Txt>>);

impl ResolverCache<Box<str>, Txt> for Records {
    fn get<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.0.lock().unwrap().get(name).cloned()
    }

    fn remove<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.0.lock().unwrap().remove(name)
    }

    fn insert(&self, name: Box<str>, record: Txt, _: std::time::Instant) {
        self.0.lock().unwrap().insert(name, record);
    }
}

/// How many of a mail's signatures are valid.
async fn n_valid(mail: &Mail) -> usize {
    let records = corpus::signer().dns_records().into_iter().map(|(name, text)| {
        let key = DomainKey::parse(text.as_bytes()).unwrap();
        (format!("{name}.").into_boxed_str(), Txt::from(key))
    });
    let records = Records(Mutex::new(records.collect()));
    let message = AuthenticatedMessage::parse(&mail.raw).unwrap();
    let verifier = MessageAuthenticator::new_quad9().unwrap();
    let results = verifier
        .verify_dkim(Parameters::new(&message).with_txt_cache(&records))
        .await;
    results
        .iter()
        .filter(|output| *output.result() == DkimResult::Pass)
        .count()
}

/// Both parts of each mail as Python's package reads them; `None` where Python is absent.
fn read_with_python(mails: &[Mail]) -> Option<Vec<[String; 2]>> {
    const SCRIPT: &str = r#"
import email, email.policy, json, sys
def parts(raw):
    message = email.message_from_bytes(raw.encode(), policy=email.policy.default)
    return [message.get_body([kind]).get_content().replace("\r\n", "\n") for kind in ("plain", "html")]
json.dump([parts(raw) for raw in json.load(sys.stdin)], sys.stdout)
"#;
    let child = Command::new("python3")
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        println!("skipped: python3 is absent");
        return None;
    };
    let raw: Vec<&str> = mails
        .iter()
        .map(|mail| std::str::from_utf8(&mail.raw).unwrap())
        .collect();
    let input = serde_json::to_vec(&raw).unwrap();
    child.stdin.take().unwrap().write_all(&input).unwrap();
    let output = child.wait_with_output().unwrap();
    Some(serde_json::from_slice(&output.stdout).unwrap())
}
