use std::io::Write as _;
use std::process::{Command, Stdio};

use chrono::TimeZone as _;
use lettre::message::header::{ContentTransferEncoding, ContentType};
use lettre::message::{MultiPart, SinglePart};
use mail_parser::{HeaderName, MessageParser};
use proptest::prelude::*;

use super::*;

/// A digest as it is sent.
pub(in crate::mail) fn letter() -> Letter {
    Letter {
        from: Mailbox::new(Some("Überblick-Bot"), "papers@example.org"),
        to: Mailbox::new(Some("José Núñez"), "jose+arxiv.ml@example.net"),
        reply_to: Some(Mailbox::new(None, "ops@example.org")),
        subject: "3 neue Artikel: Schrödinger‑Brücken, 量子, θ-vacuum".into(),
        date: Utc.with_ymd_and_hms(2026, 11, 5, 7, 0, 9).unwrap(),
        message_id: "<pr1.abcdefghij@example.org>".into(),
        boundary: "pr1-mzxw6ytboi".into(),
        text: "3 new papers\n\n.\n.5 ppm\nFrom here on: 1+1=2, θ ≠ 量\n".into(),
        html: Some("<!DOCTYPE html>\n<p title=\"a=b\">θ ≠ 量</p>\n".into()),
        list: Some(ListHeaders {
            label: "Paper round".into(),
            id: "digests.example.org".into(),
            unsubscribe_https: Some("https://papers.example.org/u/v1.k1.abc.def".into()),
            unsubscribe_mailto: Some("mailto:leave@example.org?subject=v1.k1.abc.def".into()),
            one_click: true,
            feedback_id: Some("daily:digests:digest:paperround".into()),
            help: Some("https://papers.example.org/".into()),
            owner: Some("mailto:ops@example.org".into()),
        }),
    }
}

/// What every message must be on the wire: 7-bit lines that end with CRLF, none too long.
fn assert_wire_form(bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).unwrap();
    assert!(text.is_ascii() && text.ends_with("\r\n"));
    let (headers, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(headers.len() < 8_000, "{} octets of headers", headers.len());
    assert!(headers.split("\r\n").all(|line| line.len() <= 998));
    assert!(body.split("\r\n").all(|line| line.len() <= 76));
    let rest = text.replace("\r\n", "");
    assert!(!rest.contains(['\r', '\n']));
    assert!(rest.bytes().all(|b| b == b'\t' || !b.is_ascii_control()));
}

fn names(bytes: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(bytes).unwrap();
    let (headers, _) = text.split_once("\r\n\r\n").unwrap();
    let lines = headers.split("\r\n").filter(|line| !line.starts_with(' '));
    lines.map(|line| line.split_once(':').unwrap().0.to_owned()).collect()
}

/// The value of a header, unfolded.
fn value(bytes: &[u8], name: &str) -> Option<String> {
    let text = std::str::from_utf8(bytes).unwrap();
    let (headers, _) = text.split_once("\r\n\r\n").unwrap();
    let unfolded = headers.replace("\r\n ", " ");
    unfolded
        .split("\r\n")
        .find_map(|line| line.strip_prefix(&format!("{name}: ")).map(str::to_owned))
}

#[test]
fn headers_stand_once_each_in_a_fixed_order() {
    let bytes = build(&letter()).unwrap();
    assert_wire_form(&bytes);
    let expected = [
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "MIME-Version",
        "Reply-To",
        "List-Id",
        "List-Unsubscribe",
        "List-Unsubscribe-Post",
        "List-Help",
        "List-Owner",
        "Auto-Submitted",
        "Precedence",
        "Feedback-ID",
        "X-Auto-Response-Suppress",
        "Content-Type",
    ];
    assert_eq!(names(&bytes), expected);
    let check = |name: &str, expected: &str| assert_eq!(value(&bytes, name).as_deref(), Some(expected), "{name}");
    check("Date", "Thu, 05 Nov 2026 07:00:09 +0000");
    check("Message-ID", "<pr1.abcdefghij@example.org>");
    check("Auto-Submitted", "auto-generated");
    check("Precedence", "bulk");
    check("List-Id", "Paper round <digests.example.org>");
    check(
        "List-Unsubscribe",
        "<https://papers.example.org/u/v1.k1.abc.def>, <mailto:leave@example.org?subject=v1.k1.abc.def>",
    );
    check("List-Unsubscribe-Post", "List-Unsubscribe=One-Click");
    check("X-Auto-Response-Suppress", "All");
    // Only the name is encoded, never the address (case 82), and a plus stays a plus (case 87).
    check("To", "=?utf-8?B?Sm9zw6kgTsO6w7Fleg==?= <jose+arxiv.ml@example.net>");
    assert_eq!(bytes, build(&letter()).unwrap());
}

/// CASES 95.
#[test]
fn one_click_is_offered_only_with_https() {
    let unsubscribe = |change: fn(&mut ListHeaders)| {
        let mut letter = letter();
        change(letter.list.as_mut().unwrap());
        let bytes = build(&letter).unwrap();
        (
            value(&bytes, "List-Unsubscribe"),
            value(&bytes, "List-Unsubscribe-Post"),
        )
    };
    let (list, post) = unsubscribe(|list| list.unsubscribe_https = None);
    assert_eq!(
        list.as_deref(),
        Some("<mailto:leave@example.org?subject=v1.k1.abc.def>")
    );
    assert_eq!(post, None);
    let (list, post) = unsubscribe(|list| list.one_click = false);
    assert!(list.unwrap().starts_with("<https://") && post.is_none());
    let (list, post) = unsubscribe(|list| {
        list.unsubscribe_https = None;
        list.unsubscribe_mailto = None;
    });
    assert_eq!((list, post), (None, None));
}

#[test]
fn a_notice_is_one_part_of_text_without_list_headers() {
    let letter = Letter::notice(
        Mailbox::new(None, "papers@example.org"),
        Mailbox::new(None, "ops@example.org"),
        "Keyword NAS: incomplete since Tuesday".into(),
        ("arXiv answered 503 — 12 times.\n".into(), None),
        letter().date,
        "<pr1.report@example.org>".into(),
    );
    let bytes = build(&letter).unwrap();
    assert_wire_form(&bytes);
    assert!(
        names(&bytes)
            .iter()
            .all(|name| !name.starts_with("List-") && name != "Precedence")
    );
    let message = MessageParser::default().parse(&bytes).unwrap();
    assert_eq!(
        message.body_text(0).unwrap().replace("\r\n", "\n"),
        "arXiv answered 503 — 12 times.\n\n"
    );
    let with_html = Letter {
        html: Some("<p>x</p>".into()),
        ..letter
    };
    assert!(
        value(&build(&with_html).unwrap(), "Content-Type")
            .unwrap()
            .contains("pr1-")
    );
}

#[test]
fn what_cannot_stand_in_a_header_is_refused_by_name() {
    let check = |change: &dyn Fn(&mut Letter), expected: &str| {
        let mut letter = letter();
        change(&mut letter);
        let message = build(&letter).unwrap_err().to_string();
        assert!(message.starts_with(expected), "{message}");
    };
    for address in [
        "",
        "ana",
        "ana@example.net, bo@example.net",
        "ana@example.net\r\nBcc: x@example.com",
        "a b@example.net",
        "<ana@example.net>",
        "a..b@example.net",
    ] {
        check(&|letter| letter.to.address = address.into(), "To: ");
    }
    check(
        &|letter| letter.to.address = format!("a@{}.org", ["x"; 130].join(".")),
        "To: ",
    );
    check(
        &|letter| letter.to.address = "käthe@example.net".into(),
        "To: \"käthe@example.net\" has characters outside ASCII",
    );
    check(&|letter| letter.to.address = "k@bücher.example".into(), "To: ");
    for id in [
        "",
        "x@example.org",
        "<x>",
        "<x@y@z>",
        "<x @example.org>",
        "<x@example.org>\r\nBcc: y",
    ] {
        check(&|letter| letter.message_id = id.into(), "Message-ID: ");
    }
    for boundary in ["", "a b", "a\"", &"x".repeat(71)] {
        check(&|letter| letter.boundary = boundary.into(), "Content-Type: ");
    }
    check(
        &|letter| letter.text = format!("{}\n--pr1-mzxw6ytboi--\n", letter.text).into(),
        "Content-Type: ",
    );
    let list = |letter: &mut Letter, change: &dyn Fn(&mut ListHeaders)| change(letter.list.as_mut().unwrap());
    for address in [
        "http://example.org/u",
        "https://",
        "https://example.org/a b",
        "https://example.org/>",
        "mailto:x@example.org",
    ] {
        check(
            &|letter| list(letter, &|list| list.unsubscribe_https = Some(address.into())),
            "List-Unsubscribe: ",
        );
    }
    check(&|letter| list(letter, &|list| list.id = "a..b".into()), "List-Id: ");
    for id in ["a:b:c:abc", "a:b:c:d:paperround", "paperround", "a:b c:paperround"] {
        check(
            &|letter| list(letter, &|list| list.feedback_id = Some(id.into())),
            "Feedback-ID: ",
        );
    }
}

/// What a decoder reads: subject, display name of the recipient, text, HTML.
type Decoded = (String, String, String, String);

fn decode(bytes: &[u8]) -> Decoded {
    let message = MessageParser::default().parse(bytes).unwrap();
    let part = |body: Option<std::borrow::Cow<'_, str>>| body.unwrap().replace("\r\n", "\n");
    (
        message.subject().unwrap_or_default().to_owned(),
        message
            .to()
            .unwrap()
            .first()
            .unwrap()
            .name()
            .unwrap_or_default()
            .to_owned(),
        part(message.body_text(0)),
        part(message.body_html(0)),
    )
}

/// The same by Python's strict decoder, for many messages in one process; `None` without Python.
fn decode_with_python(messages: &[Vec<u8>]) -> Option<Vec<Decoded>> {
    const SCRIPT: &str = r#"
import email, email.policy, json, sys, base64
policy = email.policy.default
for line in sys.stdin:
    m = email.message_from_bytes(base64.b64decode(line), policy=policy)
    text, html = (m.get_body((kind,)) for kind in ("plain", "html"))
    defects = [str(d) for part in m.walk() for d in part.defects]
    defects += [str(d) for name, value in m.items() for d in value.defects]
    assert not defects, defects
    assert text.get_content_charset() == html.get_content_charset() == "utf-8"
    assert len(m["To"].addresses) == 1 and m["Bcc"] is None
    print(json.dumps([m["Subject"], m["To"].addresses[0].display_name, *(p.get_content().replace("\r\n", "\n") for p in (text, html))]))
"#;
    let spawned = Command::new("python3")
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = spawned else {
        println!("skipped: python3 is absent");
        return None;
    };
    let mut stdin = child.stdin.take().unwrap();
    let lines: Vec<String> = messages
        .iter()
        .map(|message| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, message))
        .collect();
    let writer = std::thread::spawn(move || lines.iter().for_each(|line| writeln!(stdin, "{line}").unwrap()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "python3 found a fault");
    let lines = std::str::from_utf8(&output.stdout).unwrap().lines();
    Some(lines.map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// CASES 79, 82, 83, 93.
#[test]
fn subject_name_and_both_parts_are_read_back_exactly() {
    let letters: Vec<Letter> = [
        ("3 neue Artikel: Schrödinger‑Brücken, 量子, θ-vacuum", "José Núñez"),
        ("plain words only", "Anna"),
        ("a literal =?utf-8?B?SGFsbG8=?= stays", "=?utf-8?q?x?= =?utf-8?q?y?="),
        (&"Ü量👩‍🔬".repeat(40), "Müller, Anna"),
        (&"x".repeat(300), "Anna (Lab 3)"),
        (
            "neural architecture search, ".repeat(10).trim_end(),
            "\"Müller\\, <a@b>",
        ),
        ("مرحبا שלום e\u{301}", "אנה مرحبا"),
        ("", ""),
    ]
    .into_iter()
    .map(|(subject, name)| Letter {
        subject: subject.into(),
        to: Mailbox::new(Some(name), "ana@example.net"),
        text: format!(
            "{subject}\n\n.\n.5 ppm\nFrom me\ntrailing space \n\ttab\t\n{}",
            "word ".repeat(300)
        )
        .into(),
        html: Some(format!("<p>{subject}</p>{}", "<i>minified</i>".repeat(4_000)).into()),
        ..letter()
    })
    .collect();
    let messages: Vec<Vec<u8>> = letters.iter().map(|letter| build(letter).unwrap()).collect();
    let expected: Vec<Decoded> = letters
        .into_iter()
        .map(|letter| {
            (
                letter.subject,
                letter.to.name.unwrap(),
                letter.text.to_string(),
                letter.html.unwrap().to_string(),
            )
        })
        .collect();
    for (message, expected) in messages.iter().zip(&expected) {
        assert_wire_form(message);
        assert_eq!(&decode(message), expected);
    }
    if let Some(decoded) = decode_with_python(&messages) {
        assert_eq!(decoded, expected);
    }
}

#[test]
fn three_thousand_authors_in_names_and_subject_stay_bounded() {
    let authors: String = (0..3_000).map(|n| format!("Author {n}, ")).collect();
    let letter = Letter {
        subject: authors.clone(),
        from: Mailbox::new(Some(&authors), "papers@example.org"),
        ..letter()
    };
    let bytes = build(&letter).unwrap();
    assert_wire_form(&bytes);
    assert_eq!(decode(&bytes).0.chars().count(), SUBJECT_MAX);
}

/// CASES 90.
#[test]
fn nothing_of_a_title_becomes_a_header() {
    let letter = Letter {
        subject: "Sum rules\r\nBcc: x@example.com\r\n\r\nbody".into(),
        to: Mailbox::new(Some("Ana\r\nBcc: x@example.com"), "ana@example.net"),
        text: "a\rb\u{0}\u{7}\u{85}\u{9b}\r\nc".into(),
        ..letter()
    };
    let bytes = build(&letter).unwrap();
    assert_eq!(names(&bytes), names(&build(&super::tests::letter()).unwrap()));
    let (subject, name, text, _) = decode(&bytes);
    assert_eq!(subject, "Sum rules Bcc: x@example.com body");
    assert_eq!(name, "Ana Bcc: x@example.com");
    assert_eq!(text, "a\nb\nc");
    let message = MessageParser::default().parse(&bytes).unwrap();
    assert!(message.header(HeaderName::Bcc).is_none());
}

/// Pieces that have broken some mail program, between which any other characters stand.
const HOSTILE: [&str; 24] = [
    "\r\n",
    "\r",
    "\n",
    "\0",
    "\t",
    "\u{1b}[31m",
    "\u{7f}",
    "\u{85}",
    "\u{202e}",
    "\u{2028}",
    "=?utf-8?b?",
    "=?utf-8?q?",
    "?=",
    "\"",
    "\\",
    ",",
    ";",
    "<",
    "@>",
    "()",
    "量子",
    "👩\u{200d}🔬",
    "שלום",
    "e\u{301}",
];

fn hostile_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        proptest::sample::select(&HOSTILE[..]).prop_map(str::to_owned),
        proptest::sample::select(vec![" ", "  ", "word", "Bcc: x@example.com"]).prop_map(str::to_owned),
        any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// The parts are written by our own hand, from passages that are already encoded; lettre writes the same, but folds the
/// line of a short boundary only where it must.
fn as_lettre_writes_it(letter: &Letter) -> Vec<u8> {
    let part = |content_type: ContentType, body: &Body| {
        let is_mostly_ascii = body.n_escaped() * 2 <= body.len() / 3;
        let encoding = if is_mostly_ascii {
            ContentTransferEncoding::QuotedPrintable
        } else {
            ContentTransferEncoding::Base64
        };
        SinglePart::builder()
            .header(content_type)
            .header(encoding)
            .body(body.to_string())
    };
    let text = part(ContentType::TEXT_PLAIN, &letter.text);
    match &letter.html {
        None => text.formatted(),
        Some(html) => MultiPart::alternative()
            .boundary(&letter.boundary)
            .singlepart(text)
            .singlepart(part(ContentType::TEXT_HTML, html))
            .formatted(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn hostile_names_and_titles_neither_panic_nor_add_a_header(subject in hostile_text(), name in hostile_text()) {
        let letter = Letter {
            subject: subject.clone(),
            to: Mailbox::new(Some(&name), "ana@example.net"),
            text: subject.as_str().into(),
            html: Some(name.as_str().into()),
            ..letter()
        };
        let bytes = build(&letter).unwrap();
        assert_wire_form(&bytes);
        prop_assert_eq!(names(&bytes).len(), 17);
        let unfolded = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(";\r\n boundary", "; boundary");
        prop_assert!(unfolded(&bytes).ends_with(&unfolded(&as_lettre_writes_it(&letter))));
        let expected = (
            clean(&subject, SUBJECT_MAX),
            clean(&name, NAME_MAX),
            Body::from(subject).to_string(),
            Body::from(name).to_string(),
        );
        prop_assert_eq!(decode(&bytes), expected);
    }
}
