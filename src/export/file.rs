//! A page as a file: replaced whole or not at all, and sections that could not be fetched are kept.

use std::{
    fs,
    io::{self, ErrorKind, Read as _, Write as _},
    path::Path,
};

use super::{Format, Page, json, markdown, write};

/// A longer file is none of ours, so nothing is taken over from it.
const PAGE_BYTES_MAX: u64 = 64 << 20;

/// The page that a new one takes the place of.
#[derive(Debug, Clone, Default)]
pub struct FormerPage {
    text: String,
}

impl FormerPage {
    /// A page as it was written.
    pub fn new(text: String) -> Self {
        Self { text }
    }

    fn read(path: &Path) -> io::Result<Self> {
        let mut bytes = Vec::new();
        match fs::File::open(path) {
            Ok(file) => file.take(PAGE_BYTES_MAX + 1).read_to_end(&mut bytes)?,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        if bytes.len() as u64 > PAGE_BYTES_MAX {
            return Ok(Self::default());
        }
        Ok(Self::new(String::from_utf8(bytes).unwrap_or_default()))
    }

    /// The section of a Markdown page from its heading to before the next one, one line feed at its end.
    pub(super) fn text_of(&self, heading: &str) -> Option<&str> {
        let mut begin = None;
        let mut at = 0;
        for text in self.text.split_inclusive('\n') {
            match begin {
                None if text.trim_end() == heading => begin = Some(at),
                Some(begin) if text.starts_with("## ") => return Some(tidy(&self.text[begin..at])),
                _ => {}
            }
            at += text.len();
        }
        begin.map(|begin| tidy(&self.text[begin..]))
    }

    /// The whole text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

/// Without the blank lines at the end but with the line feed before them.
fn tidy(section: &str) -> &str {
    let end = section.trim_end().len();
    &section[..section.len().min(end + 1)]
}

/// Writes the page to a file in the place of what is there. Whoever reads the file sees the old or the new one.
///
/// # Errors
/// If the file cannot be read, or its folder cannot be written to.
pub fn replace(path: &Path, page: &Page, format: Format) -> io::Result<()> {
    let text = match format {
        Format::Markdown => markdown::write(page, &FormerPage::read(path)?),
        Format::Json => json::write(page, &FormerPage::read(path)?),
        Format::Atom | Format::Bibtex | Format::Ris => write(page, format),
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder {
        fs::create_dir_all(folder)?;
    }
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let mut file = fs::File::create(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::{
        Section,
        tests::{at, numbered},
    };

    fn page(day: u32, title: &str, is_incomplete: bool) -> Page {
        let section = |keyword: &str, number, is_incomplete| Section {
            keyword: keyword.to_owned(),
            papers: vec![numbered(number, title)],
            is_incomplete,
        };
        Page {
            updated: at(day),
            sections: vec![section("[GNN]", 1, is_incomplete), section("RAG", 2, false)],
        }
    }

    #[test]
    fn a_section_that_was_not_fetched_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        // JSON holds a title as it is and as it is read.
        for (format, name, n_each) in [
            (Format::Markdown, "pages/README.md", 1),
            (Format::Json, "papers.json", 2),
        ] {
            let path = folder.path().join(name);
            replace(&path, &page(1, "Before", false), format).unwrap();
            replace(&path, &page(2, "After", true), format).unwrap();
            let text = fs::read_to_string(&path).unwrap();
            assert_eq!(text.matches("Before").count(), n_each, "{text}");
            assert_eq!(text.matches("After").count(), n_each, "{text}");
            assert!(text.contains("2026-02-02"), "{text}");
            assert!(text.find("Before") < text.find("After"));
            replace(&path, &page(3, "Later", false), format).unwrap();
            let text = fs::read_to_string(&path).unwrap();
            assert_eq!(
                (text.matches("Later").count(), text.matches("Before").count()),
                (2 * n_each, 0)
            );
            assert!(!path.with_extension("md.new").exists() && !path.with_extension("json.new").exists());
        }
    }

    /// However often the page is rewritten, whoever reads it meanwhile reads a whole one, the old or the new.
    #[test]
    fn a_reader_never_sees_half_a_page() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("README.md");
        // Long enough that a page written in place would be caught half-way.
        let of = |title: &str| Page {
            sections: vec![Section {
                keyword: "GNN".to_owned(),
                papers: (1..=100).map(|number| numbered(number, &title.repeat(200))).collect(),
                is_incomplete: false,
            }],
            ..page(1, title, false)
        };
        let pages = [of("before "), of("after ")];
        let whole = [0, 1].map(|index: usize| write(&pages[index], Format::Markdown));
        replace(&path, &pages[0], Format::Markdown).unwrap();
        let is_over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut n_read = 0;
                while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                    let text = fs::read_to_string(&path).unwrap();
                    assert!(whole.contains(&text), "{} of {} bytes", text.len(), whole[0].len());
                    n_read += 1;
                }
                n_read
            });
            for page in pages.iter().cycle().take(40) {
                replace(&path, page, Format::Markdown).unwrap();
            }
            is_over.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(reader.join().unwrap() > 0);
        });
    }

    #[test]
    fn what_is_kept_is_kept_byte_by_byte_and_a_first_page_keeps_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("README.md");
        replace(&path, &page(2, "First", true), Format::Markdown).unwrap();
        let before = fs::read_to_string(&path).unwrap();
        replace(&path, &page(2, "First", true), Format::Markdown).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), before);
        assert_eq!(before.matches("First").count(), 2);
        fs::write(&path, b"\xff\xfe not a page").unwrap();
        replace(&path, &page(2, "First", true), Format::Markdown).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), before);
    }
}
