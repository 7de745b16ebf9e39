//! paperround.toml(5), read out of the shipped `config.toml`: its comments are the reference.

use roff::{Roff, bold, roman};

use super::titled;

/// The reference.
const SHIPPED: &str = include_str!("../../../config.toml");

/// The heading of the keys before the first section.
const TOP: &str = "Before the first section";

/// The paragraphs at the head of the file that speak of that file and not of the format.
const ABOUT_THE_FILE: usize = 2;

/// One section of the file: `[arxiv]`, `[[subscriber]]`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Section {
    heading: String,
    paragraphs: Vec<String>,
    entries: Vec<Entry>,
}

/// Keys that are explained together.
#[derive(Debug, Default, PartialEq, Eq)]
struct Entry {
    /// `key = example`, as in the file.
    keys: Vec<String>,
    text: String,
}

pub(super) fn page() -> String {
    let sections = read(SHIPPED);
    let mut roff = Roff::new();
    roff.control("SH", ["NAME"]);
    roff.text([roman("paperround.toml - the configuration of paperround")]);
    roff.control("SH", ["DESCRIPTION"]);
    roff.text([
        bold("paperround"),
        roman("(1) reads one file in TOML, "),
        bold("/etc/paperround/config.toml"),
        roman(" for the service. A key that it does not know is an error. "),
        bold("paperround check"),
        roman(" names every problem with its line and how to mend it."),
    ]);
    roff.control("PP", []);
    roff.text([roman(
        "Each key is shown with its default, or with an example where it says that there is no default.",
    )]);
    for section in &sections {
        roff.control("SH", [section.heading.as_str()]);
        for (at, paragraph) in section.paragraphs.iter().enumerate() {
            if at > 0 {
                roff.control("PP", []);
            }
            roff.text([roman(paragraph.as_str())]);
        }
        for entry in &section.entries {
            for (at, key) in entry.keys.iter().enumerate() {
                roff.control(if at == 0 { "TP" } else { "TQ" }, []);
                roff.text([bold(key.as_str())]);
            }
            roff.text([roman(entry.text.as_str())]);
        }
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([bold("paperround"), roman("(1)")]);
    titled("PAPERROUND.TOML", "5", &roff)
}

/// Takes the file apart: a comment belongs to the keys right below it, or to its section where none follow.
fn read(file: &str) -> Vec<Section> {
    let mut sections = vec![Section {
        heading: TOP.to_owned(),
        ..Section::default()
    }];
    let mut entry = Entry::default();
    for line in file.lines() {
        let code = line.strip_prefix('#').unwrap_or(line);
        if let Some(comment) = line.strip_prefix("# ") {
            if !entry.keys.is_empty() {
                close(&mut sections, &mut entry);
            }
            if !entry.text.is_empty() {
                entry.text.push(' ');
            }
            entry.text.push_str(comment);
        } else if code.starts_with('[') {
            let heading = code.trim().to_owned();
            if sections.last().is_none_or(|section| section.heading != heading) {
                // A comment right above the brackets is about the whole section.
                let about = std::mem::take(&mut entry);
                sections.push(Section {
                    heading,
                    ..Section::default()
                });
                entry = about;
            }
            close(&mut sections, &mut entry);
        } else if code.contains(" = ") {
            entry.keys.push(code.to_owned());
        } else {
            close(&mut sections, &mut entry);
        }
    }
    close(&mut sections, &mut entry);
    if let Some(top) = sections.first_mut() {
        top.paragraphs.drain(..ABOUT_THE_FILE.min(top.paragraphs.len()));
    }
    sections
}

/// Ends what was being read and puts it into the last section.
fn close(sections: &mut [Section], entry: &mut Entry) {
    let entry = std::mem::take(entry);
    let Some(section) = sections.last_mut() else {
        return;
    };
    if entry.keys.is_empty() {
        if !entry.text.is_empty() {
            section.paragraphs.push(entry.text);
        }
        return;
    }
    // The file shows some tables twice, once in use: a key without words of its own has had them already.
    let known = |key: &String| {
        let name = key.split(" = ").next();
        section
            .entries
            .iter()
            .any(|entry| entry.keys.iter().any(|key| key.split(" = ").next() == name))
    };
    if !(entry.text.is_empty() && entry.keys.iter().all(known)) {
        section.entries.push(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_read_with_what_they_are_about() {
        let file = "# The file.\n#\n# How to read it.\n#\n# Units.\n\n# When.\n#schedule = \"x\"\n\n\n# A relay.\n#[[relay]]\n\
                    # Where.\n#host = \"h\"\n#port = 25\n# Who.\nuser = \"u\"\n#[[relay]]\n#host = \"other\"\n";
        let sections = read(file);
        let entry = |keys: &[&str], text: &str| Entry {
            keys: keys.iter().map(ToString::to_string).collect(),
            text: text.to_owned(),
        };
        let expected = vec![
            Section {
                heading: TOP.to_owned(),
                paragraphs: vec!["Units.".to_owned()],
                entries: vec![entry(&["schedule = \"x\""], "When.")],
            },
            Section {
                heading: "[[relay]]".to_owned(),
                paragraphs: vec!["A relay.".to_owned()],
                entries: vec![
                    entry(&["host = \"h\"", "port = 25"], "Where."),
                    entry(&["user = \"u\""], "Who."),
                ],
            },
        ];
        assert_eq!(sections, expected);
    }

    #[test]
    fn every_key_of_the_shipped_file_is_explained() {
        let n_keys = SHIPPED
            .lines()
            .filter(|line| line.trim_start_matches('#').contains(" = "))
            .count();
        assert!(n_keys > 60, "only {n_keys} keys were found");
        for section in read(SHIPPED) {
            for entry in section.entries {
                let explained = !entry.text.is_empty() || !section.paragraphs.is_empty();
                assert!(explained, "{} has no words", entry.keys.join(", "));
            }
        }
    }
}
