//! Digests of recorded and of hostile papers, made into mails by the program's own composer.

use std::{fs, sync::Arc};

use chrono::{DateTime, NaiveDate, Utc};
use mail_parser::MessageParser;
use paperround::{
    mail::{
        compose::{Composer, KnownMarks, Papers, Sender},
        dkim::{Signer, SigningKey},
        message::Mailbox,
    },
    model::{
        ArxivId, Author, CoverageNote, DigestId, DigestKind, DigestRecord, Paper, PaperRecord, SectionRecord, Shown,
        SubscriberId, Term,
    },
    render::{Block, Notice, Renderer, Settings},
    token::{Keys, TokenKey},
};

pub(super) const KEYWORDS: [&str; 3] = ["graph neural network", "reinforcement learning", "retrieval-augmented"];
pub(super) const DOMAIN: &str = "example.org";
/// How many papers the digests of recorded papers are given.
const SIZES: [usize; 5] = [0, 1, 12, 40, 400];

/// One mail as it goes to the relay.
#[derive(Clone)]
pub(super) struct Mail {
    pub(super) name: String,
    pub(super) raw: Vec<u8>,
    /// What the parts were before they were encoded.
    pub(super) text: String,
    pub(super) html: String,
    /// Titles and abstracts as the feed has them.
    pub(super) sources: String,
    /// Papers that did not fit.
    pub(super) n_cut: usize,
    /// Whether the service has an address on the web (`web.public_url`).
    pub(super) is_on_the_web: bool,
}

impl Mail {
    /// With other bytes; the change must be one.
    pub(super) fn with_raw(&self, from: &str, to: &str) -> Self {
        let raw = String::from_utf8(self.raw.clone()).unwrap();
        let spoilt = raw.replacen(from, to, 1);
        assert_ne!(raw, spoilt, "{from:?} is not in the mail");
        Self {
            raw: spoilt.into_bytes(),
            ..self.clone()
        }
    }

    /// With a change of the HTML or of the text part, encoded anew under the same headers.
    pub(super) fn with_html(&self, from: &str, to: &str) -> Self {
        let (text, html) = self.parts();
        let spoilt = html.replacen(from, to, 1);
        assert_ne!(html, spoilt, "{from:?} is not in the HTML part");
        self.with_parts(text, spoilt)
    }

    pub(super) fn with_text(&self, from: &str, to: &str) -> Self {
        let (text, html) = self.parts();
        let spoilt = text.replacen(from, to, 1);
        assert_ne!(text, spoilt, "{from:?} is not in the text part");
        self.with_parts(spoilt, html)
    }

    pub(super) fn with_parts(&self, text: String, html: String) -> Self {
        use lettre::message::{SinglePart, header};
        let part = |content_type: header::ContentType, body: String| {
            SinglePart::builder()
                .header(content_type)
                .header(header::ContentTransferEncoding::QuotedPrintable)
                .body(body)
                .formatted()
        };
        let raw = String::from_utf8(self.raw.clone()).unwrap();
        let (head, _) = raw.split_once("\r\n\r\n").unwrap();
        let boundary = head.split("boundary=\"").nth(1).unwrap().split('"').next().unwrap();
        let mut spoilt = format!("{head}\r\n\r\n").into_bytes();
        for part in [
            part(header::ContentType::TEXT_PLAIN, text),
            part(header::ContentType::TEXT_HTML, html),
        ] {
            spoilt.extend(format!("--{boundary}\r\n").into_bytes());
            spoilt.extend(part);
            spoilt.extend(b"\r\n");
        }
        spoilt.extend(format!("--{boundary}--\r\n").into_bytes());
        Self {
            raw: spoilt,
            ..self.clone()
        }
    }

    /// Both parts as a mail program reads them, with line feeds.
    pub(super) fn parts(&self) -> (String, String) {
        let message = MessageParser::default().parse(&self.raw).unwrap();
        let part = |text: Option<std::borrow::Cow<'_, str>>| text.unwrap_or_default().replace("\r\n", "\n");
        (part(message.body_text(0)), part(message.body_html(0)))
    }

    /// Names and unfolded values of the headers, in order.
    pub(super) fn headers(&self) -> Vec<(String, String)> {
        let raw = String::from_utf8_lossy(&self.raw);
        let head = raw.split("\r\n\r\n").next().unwrap_or_default();
        let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
        let lines = unfolded.split("\r\n").filter_map(|line| line.split_once(':'));
        lines
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect()
    }

    /// The only header of this name.
    pub(super) fn header(&self, name: &str) -> Result<String, String> {
        let mut found = self
            .headers()
            .into_iter()
            .filter(|(own, _)| own.eq_ignore_ascii_case(name));
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Ok(value),
            (None, _) => Err(format!("{name} is missing")),
            (Some(_), Some(_)) => Err(format!("{name} stands twice")),
        }
    }
}

/// The moment at which the digests were frozen, unless a tool wants a fresh one.
pub(super) fn frozen_at() -> DateTime<Utc> {
    "2026-02-10T06:00:00Z".parse().unwrap()
}

/// Every mail that each check is run on.
pub(super) fn mails(at: DateTime<Utc>) -> Vec<Mail> {
    let recorded = recorded();
    let mut mails: Vec<Mail> = SIZES
        .iter()
        .map(|n| mail(&format!("recorded-{n}"), &recorded[..*n], at))
        .collect();
    mails.push(mail("hostile", &hostile(), at));
    mails.push(mail("scripts", &scripts(), at));
    let record = |name: &str| record(name, &recorded[..12], at);
    mails.push(made(record("by-mail-only"), &recorded[..12], false));
    let welcome = DigestRecord {
        kind: DigestKind::Welcome,
        ..record("welcome")
    };
    mails.push(made(welcome, &recorded[..12], true));
    mails
}

/// One mail, as the program makes it: assembled, cut to size, composed and signed.
pub(super) fn mail(name: &str, papers: &[Paper], at: DateTime<Utc>) -> Mail {
    made(record(name, papers, at), papers, true)
}

/// The mail of a record, with `web.public_url` set or not.
fn made(record: DigestRecord, papers: &[Paper], is_on_the_web: bool) -> Mail {
    let name = record.id.subscriber.to_string();
    let composer = composer(is_on_the_web);
    let stored: Papers = papers
        .iter()
        .map(|paper| (paper.versioned_id(), Arc::new(paper.clone())))
        .collect();
    let fitted = composer.fit(record, &stored).unwrap();
    let message_id = composer.keys.message_id(&fitted.record.id, DOMAIN);
    let composed = composer.compose(&fitted.record, &message_id, &stored).unwrap();
    Mail {
        name,
        raw: composed.bytes,
        text: composed.text.to_string(),
        html: composed.html.to_string(),
        sources: papers
            .iter()
            .map(|paper| format!("{}\n{}\n", paper.title, paper.abstract_text))
            .collect(),
        n_cut: fitted.cut.len(),
        is_on_the_web,
    }
}

/// The HTML of a report to the operator, which the same templates make.
pub(super) fn notice(at: DateTime<Utc>) -> String {
    let block = |heading: &str, paragraphs: &[&str]| Block {
        heading: Some((
            heading.to_owned(),
            if paragraphs.len() == 1 {
                "1 trouble".to_owned()
            } else {
                format!("{} troubles", paragraphs.len())
            },
        )),
        paragraphs: paragraphs.iter().map(|text| (*text).to_owned()).collect(),
    };
    let notice = Notice {
        subject: "Paperround needs you: keyword \"NAS\", digest bo 12".to_owned(),
        lead: "keyword \"NAS\" could not be fetched completely, and 1 more".to_owned(),
        headline: "Needs you".to_owned(),
        blocks: vec![
            block(
                "In trouble",
                &[
                    "Since 2026-02-03 07:00 UTC: the keyword \"NAS\" could not be fetched completely: arXiv answered <b>503</b>",
                    "Since 2026-02-04 07:00 UTC: digest bo 12 is held: the relay may have taken it, but never said so.",
                ],
            ),
            block("Well again", &["Since 2026-02-09 07:00 UTC: the relay"]),
        ],
        why: "You get this because report.to names your address.".to_owned(),
    };
    composer(true).renderer.notice(&notice, at).unwrap().html.to_string()
}

fn record(name: &str, papers: &[Paper], at: DateTime<Utc>) -> DigestRecord {
    let row = |paper: &Paper| PaperRecord {
        id: paper.id.clone(),
        version: paper.version,
        shown: Shown::Full,
        also: Vec::new(),
        replaces: None,
        changes: None,
    };
    let sections = (0..).zip(papers.chunks(papers.len().div_ceil(KEYWORDS.len()).max(1)));
    DigestRecord {
        id: DigestId {
            subscriber: SubscriberId(name.into()),
            number: 12,
        },
        kind: if papers.is_empty() {
            DigestKind::Quiet
        } else {
            DigestKind::Digest
        },
        address: "ana@example.net".to_owned(),
        name: Some("Ana, \"الباحثة\" 研究 👩\u{200d}🔬\r\nBcc: x@example.com".to_owned()),
        frozen_at: at,
        zone: "Europe/Berlin".to_owned(),
        keywords: KEYWORDS
            .iter()
            .map(|name| ((*name).to_owned(), Term::phrase(*name)))
            .collect(),
        sections: sections
            .map(|(keyword, papers)| SectionRecord {
                keyword,
                papers: papers.iter().map(row).collect(),
                n_waiting: 0,
                n_skipped: 0,
            })
            .collect(),
        coverage: CoverageNote {
            announcement: NaiveDate::from_ymd_opt(2026, 2, 9),
            current: true,
            n_complete: 3,
            n_keywords: 3,
            n_fetched: papers.len(),
            n_new: papers.len(),
            ..CoverageNote::default()
        },
        shared: false,
    }
}

pub(super) fn keys() -> Keys {
    Keys::new(vec![TokenKey::from_bytes("k1", [7; 32]).unwrap()]).unwrap()
}

pub(super) fn signer() -> Signer {
    let keys = [("rsa1", "rsa"), ("ed1", "ed25519")].map(|(selector, kind)| {
        let path = format!("{}/src/mail/dkim/{kind}-test-key.pem", env!("CARGO_MANIFEST_DIR"));
        let key = SigningKey::parse(&fs::read_to_string(path).unwrap()).unwrap();
        (selector.to_owned(), key)
    });
    Signer::new(DOMAIN, keys.into()).unwrap()
}

fn composer(is_on_the_web: bool) -> Composer {
    let public_url = is_on_the_web.then(|| "https://papers.example.org".to_owned());
    let settings = Settings {
        public_url: public_url.clone(),
        contact: Some("ops@example.org".to_owned()),
        ..Settings::default()
    };
    Composer {
        renderer: Arc::new(Renderer::new(settings).unwrap()),
        keys: Arc::new(keys()),
        sender: Sender {
            from: Mailbox::new(Some("Paper round"), "papers@example.org"),
            reply_to: Some(Mailbox::new(None, "ops@example.org")),
            list_id: "papers.example.org".to_owned(),
            list_label: "Paper round".to_owned(),
            feedback_sender: "exampleorg".to_owned(),
            help_url: public_url.clone(),
            public_url,
            unsubscribe_address: Some("leave@example.org".to_owned()),
            owner: Some("ops@example.org".to_owned()),
        },
        signer: Some(signer()),
        known: KnownMarks::default(),
    }
}

/// The latest recorded papers, or invented ones where the recordings are absent.
pub(super) fn recorded() -> Vec<Paper> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/arxiv/corpus.jsonl");
    let Ok(corpus) = fs::read_to_string(path) else {
        println!("skipped: ../shared is absent, invented papers take the place of recorded ones");
        return (1..=400)
            .map(|number| {
                let title = format!("An invented paper, number {number}: $O(n^{{2/3}})$ suffices");
                paper(number, &title, &"We study a graph neural network. ".repeat(40))
            })
            .collect();
    };
    let mut papers: Vec<Paper> = corpus
        .lines()
        .filter_map(|line| {
            let field: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = |name: &str| field[name].as_str().map(str::to_owned);
            let list = |name: &str| -> Vec<String> { serde_json::from_value(field[name].clone()).unwrap() };
            let published = text("published")?;
            (published.as_str() > "2026-01-15").then(|| Paper {
                id: field["id"].as_str().unwrap().parse().unwrap(),
                version: 1,
                title: text("title").unwrap(),
                authors: list("authors").into_iter().map(Author::named).collect(),
                abstract_text: text("abstract").unwrap().trim().to_owned(),
                submitted: published.parse().ok(),
                updated: None,
                categories: list("categories"),
                comment: text("comment"),
                journal_ref: text("journal_ref"),
                doi: text("doi"),
                withdrawn: false,
            })
        })
        .collect();
    papers.sort_by_key(|paper| std::cmp::Reverse(paper.submitted));
    papers.truncate(400);
    assert_eq!(papers.len(), 400);
    papers
}

fn paper(number: u32, title: &str, abstract_text: &str) -> Paper {
    Paper {
        id: ArxivId::from_parts(2026, 2, number).unwrap(),
        version: 1,
        title: title.to_owned(),
        authors: vec![Author::named("Ana Example"), Author::named("Bo Beispiel")],
        abstract_text: abstract_text.to_owned(),
        submitted: "2026-02-09T12:00:00Z".parse().ok(),
        updated: None,
        categories: vec!["cs.LG".to_owned(), "stat.ML".to_owned()],
        comment: Some("9 pages, ICLR 2026, code at https://github.com/ana/gnn".to_owned()),
        journal_ref: None,
        doi: Some("10.1000/182".to_owned()),
        withdrawn: false,
    }
}

/// Papers whose every field tries to get out of its place.
pub(super) fn hostile() -> Vec<Paper> {
    [
        "Sum rules\r\nBcc: x@example.com\r\n\r\n<script>alert(1)</script>",
        "=?utf-8?B?PHNjcmlwdD4=?= and \u{0}\u{7}\u{b}\u{1b}[31m \u{85} \u{9f}",
        "\"><img src=x onerror=alert(1)><a href=\"javascript:alert(1)\">",
        "--paperround\r\n.\r\nQUIT\r\nContent-Type: text/html",
        "{{ 7 * 7 }}{% raw %} &amp; &lt; ]]> --> <!--",
        // Unbroken, so that only the mail's own rules break it; not of letters alone, which is a trait of spam's filler.
        &"Fe2O3".repeat(100),
        "\u{202e}detrevni\u{202c} \u{2066}isolated \u{feff}\u{200b}",
        "$\\frac{\\frac{\\frac{a}{b}}{c}{$ \\unknown{$$ \\[ { } ^_^",
    ]
    .into_iter()
    .zip(1..)
    .map(|(text, number)| {
        let mut paper = paper(number, text, &format!("{text} graph neural network {text}"));
        paper.authors = vec![Author::named(text); 30];
        paper.categories = vec![text.to_owned(), "cs.LG".to_owned()];
        paper.comment = Some(text.to_owned());
        paper.journal_ref = Some(text.to_owned());
        paper.doi = Some(format!("10.1000/{text}"));
        paper
    })
    .collect()
}

/// Papers in scripts of several directions and widths.
fn scripts() -> Vec<Paper> {
    [
        (
            "مراجعة: شبكات عصبية (v2)",
            "نستعرض graph neural network في اللغة العربية.",
            "ليلى مثال",
        ),
        (
            "大規模言語モデルのための検索拡張生成",
            "本論文では検索拡張生成を扱う。",
            "山田太郎",
        ),
        (
            "סקירה של רשתות נוירונים",
            "מאמר על reinforcement learning.",
            "דנה דוגמה",
        ),
        (
            "Étude de \\v{C}ech–Ważewski, e\u{301}tudes",
            "Łódź, Ørsted, Ğ — naïve.",
            "Ranko Lazić",
        ),
        (
            "👩\u{200d}🔬 Emoji 🏳\u{fe0f}\u{200d}🌈 in titles",
            "Family: 👨\u{200d}👩\u{200d}👧.",
            "🦀 Crab",
        ),
        (
            "Bounds for $T_c^{\\max}$ and $\\unknown{x}$ with \\emph{care}",
            "A sign that no font has, $x_{\\mathrm{sup}}^{q}$, stands raised; $\\unknown{y}$ stays as it is.",
            "Ana Example",
        ),
        (
            "한국어 처리를 위한 강화 학습",
            "이 논문은 강화 학습을 다룬다.",
            "홍길동",
        ),
    ]
    .into_iter()
    .zip(101..)
    .map(|((title, abstract_text, author), number)| {
        let mut paper = paper(number, title, abstract_text);
        paper.authors = vec![Author::named(author)];
        paper
    })
    .collect()
}
