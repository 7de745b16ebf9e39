//! TeX: text without TeX is untouched, runs keep to the order of their source, output is bounded by the input and safe in
//! HTML, and time is linear.

use paperround::tex::{self, Run};

/// Times the length of the source that the text may have: `-` becomes a minus of three bytes, letters of formulas have
/// four, and a script gets a sign and brackets.
const GROWTH_MAX: usize = 8;
/// To how many bytes some inputs are repeated, so that time beyond linear exceeds the fuzzer's limit for one input.
const REPEATED_BYTES: usize = 128 * 1024;

/// A title, an abstract or a name.
pub fn tex(input: &[u8]) {
    let (marks, source) = input.split_at(input.len().min(4));
    let source = String::from_utf8_lossy(source);
    read(&source, marks);

    let name = tex::name(&source);
    assert!(name.len() <= GROWTH_MAX * source.len());

    let plain: String = source
        .chars()
        .filter(|c| !matches!(c, '\\' | '$' | '{' | '`' | '~' | '-'))
        .collect();
    assert_eq!(tex::to_text(&plain), plain);
    let runs = tex::read(&plain);
    assert!(runs.len() <= 1 && runs.iter().all(|run| run.source == (0..plain.len())));

    // One in sixteen: each costs as much as hundreds of others.
    if source.len() % 16 == 1 {
        read(&source.repeat(REPEATED_BYTES / source.len()), &[]);
    }
}

fn read(source: &str, marks: &[u8]) {
    let runs = tex::read(source);
    let mut end = 0;
    for run in &runs {
        assert!(
            run.source.start >= end && source.get(run.source.clone()).is_some(),
            "{run:?}"
        );
        end = run.source.end;
    }
    let text = tex::runs_to_text(&runs);
    assert!(
        text.len() <= GROWTH_MAX * source.len(),
        "{} of {} bytes",
        text.len(),
        source.len()
    );

    let marks = marks_of(marks, source.len());
    let html = tex::to_html(source, &marks, ("<mark>", "</mark>"));
    assert_eq!(text_of(&html), shown(&runs));
}

/// Sorted places without overlap.
fn marks_of(bytes: &[u8], length: usize) -> Vec<std::ops::Range<usize>> {
    let mut places: Vec<usize> = bytes.iter().map(|byte| usize::from(*byte).min(length)).collect();
    places.sort_unstable();
    places.chunks_exact(2).map(|pair| pair[0]..pair[1]).collect()
}

fn shown(runs: &[Run]) -> String {
    runs.iter().map(|run| run.text.as_str()).collect()
}

/// The text of the HTML, whose elements must be ours and well nested.
fn text_of(html: &str) -> String {
    let mut open = Vec::new();
    let mut text = String::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        text.push_str(&rest[..at]);
        let end = at + rest[at..].find('>').expect("a tag has an end");
        let tag = &rest[at + 1..end];
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "in {html}"),
            None => {
                assert!(["sup", "sub", "em", "code", "mark"].contains(&tag), "<{tag}> in {html}");
                open.push(tag);
            }
        }
        rest = &rest[end + 1..];
    }
    text.push_str(rest);
    assert!(open.is_empty() && !text.contains(['>', '"', '\'']), "of {html}");
    for (reference, sign) in [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ] {
        text = text.replace(reference, sign);
    }
    text
}
