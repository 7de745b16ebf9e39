//! The demonstration from end to end: what each subscriber got, and what is left to look at.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail with it")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use mail_parser::MessageParser;

/// Who got which papers on which morning, by the last three digits of their identifiers (2602.90...), written down
/// from the announcements by hand.
const EXPECTED: [(&str, &str, &[&str]); 9] = [
    // The first digest reaches back over the weekend. 206 is a survey, 208 about storage.
    ("2026-02-11", "ana@example.net", &["101", "201", "202"]),
    ("2026-02-11", "bo@example.com", &["102", "106", "204", "205"]),
    // 103 is withdrawn.
    ("2026-02-11", "mei@example.org", &["104", "202", "203", "207"]),
    // The second version of 101 is not sent again.
    ("2026-02-12", "ana@example.net", &["302", "303"]),
    // 301 was submitted ten days earlier.
    ("2026-02-12", "bo@example.com", &["301", "305", "307"]),
    ("2026-02-12", "mei@example.org", &["304", "306", "308", "310"]),
    ("2026-02-13", "ana@example.net", &["401", "402", "403"]),
    // 405 is by a followed author.
    ("2026-02-13", "bo@example.com", &["403", "404", "405", "410"]),
    ("2026-02-13", "mei@example.org", &["406", "407", "408"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_sends_every_matching_paper_once_and_leaves_what_it_says() {
    let parent = tempfile::tempdir().unwrap();
    let out = parent.path().join("demo-output");
    let summary = paperround::demo::run(&out).await.unwrap();
    check_mails(&out);
    check_index(&out);
    for file in ["config.toml", "index.html", "mails"] {
        let path = out.canonicalize().unwrap().join(file);
        assert!(
            path.exists() && summary.contains(&path.display().to_string()),
            "{file} in {summary}"
        );
    }
    assert!(
        summary.contains("ana@example.net 8, bo@example.com 11, mei@example.org 11; 0 came twice"),
        "{summary}"
    );
    // Once more in the same folder: everything is new again.
    paperround::demo::run(&out).await.unwrap();
    check_mails(&out);
}

#[tokio::test]
async fn the_demo_overwrites_nobodys_files() {
    let out = tempfile::tempdir().unwrap();
    fs::write(out.path().join("thesis.tex"), "mine").unwrap();
    let error = paperround::demo::run(out.path()).await.unwrap_err();
    assert_eq!(error.exit().code(), 2, "{error}");
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 1);
}

fn check_mails(out: &Path) {
    let mut message_ids = BTreeSet::new();
    let mut seen: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (day, recipient, papers) in EXPECTED {
        let path = out.join(format!("mails/{day}/{recipient}.eml"));
        let bytes = fs::read(&path).unwrap();
        let message = MessageParser::default().parse(&bytes).unwrap();
        let to = message.to().and_then(|to| to.first()?.address().map(str::to_owned));
        assert_eq!(to.as_deref(), Some(recipient));
        assert!(
            message_ids.insert(message.message_id().unwrap().to_owned()),
            "{}",
            path.display()
        );
        let html = message.body_html(0).unwrap();
        let text = message.body_text(0).unwrap();
        assert_eq!(
            shown(&html),
            papers.iter().copied().map(str::to_owned).collect(),
            "{}",
            path.display()
        );
        assert_eq!(shown(&html), shown(&text), "{}", path.display());
        for id in shown(&html) {
            assert!(
                seen.entry(recipient).or_default().insert(id.clone()),
                "{id} came twice to {recipient}"
            );
        }
        let subject = message.subject().unwrap();
        assert!(subject.contains(&papers.len().to_string()), "{subject}");
    }
    let mails = ["2026-02-11", "2026-02-12", "2026-02-13"].map(|day| {
        let files = fs::read_dir(out.join("mails").join(day)).unwrap();
        files
            .filter(|file| {
                file.as_ref()
                    .unwrap()
                    .path()
                    .extension()
                    .is_some_and(|kind| kind == "eml")
            })
            .count()
    });
    assert_eq!(mails, [3, 3, 3], "one mail per subscriber and day");
}

/// Every link of the index leads to a file, and every mail is linked in its three forms.
fn check_index(out: &Path) {
    let index = fs::read_to_string(out.join("index.html")).unwrap();
    let links: Vec<String> = index
        .split("href=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap().replace("&#x2f;", "/"))
        .collect();
    for link in &links {
        assert!(out.join(link).is_file(), "{link}");
    }
    for (day, recipient, _) in EXPECTED {
        for kind in ["eml", "html", "txt"] {
            assert!(
                links.contains(&format!("mails/{day}/{recipient}.{kind}")),
                "{kind} of {recipient} on {day}"
            );
        }
    }
}

/// The sample papers that a text names.
fn shown(text: &str) -> BTreeSet<String> {
    text.split("2602.90")
        .skip(1)
        .filter_map(|rest| rest.get(..3))
        .map(str::to_owned)
        .collect()
}
