//! arXiv identifiers: their grammar, canonical form and order.
//!
//! The order is what the promises rest on: identifiers are given at announcement and only rise, so
//! "announced after" can be read from two of them without any date.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A paper's identifier without its version, in canonical form: `2401.01234` or `hep-th/9901001`.
///
/// Identifiers compare in the order in which arXiv gave them: by month, then by number within the
/// month. The old scheme ended in March 2007, so every old identifier is below every new one; within
/// one month of the old scheme the archives counted separately, and the archive's name breaks the tie.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ArxivId {
    /// Months since January 1991: both schemes fit, and the schemes do not overlap in time.
    month: u16,
    number: u32,
    /// The archive of an old identifier; empty for the new scheme.
    archive: Box<str>,
}

/// An identifier together with a version: `2401.01234v2`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct VersionedId {
    /// The paper.
    pub id: ArxivId,
    /// Its version, from 1.
    pub version: u16,
}

/// The text is not an arXiv identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an arXiv identifier (expected a form like 2401.01234 or hep-th/9901001)")]
pub struct ParseArxivIdError(pub String);

const EPOCH_YEAR: u16 = 1991;
/// The new scheme began in April 2007.
const NEW_SCHEME: u16 = months(2007, 4);
/// From January 2015 the number has five digits instead of four.
const FIVE_DIGITS: u16 = months(2015, 1);

const fn months(year: u16, month: u16) -> u16 {
    (year - EPOCH_YEAR) * 12 + month - 1
}

impl ArxivId {
    /// The year and month (1 to 12) in which the identifier was given.
    pub fn year_month(&self) -> (u16, u8) {
        // `% 12 + 1` is at most 12.
        (EPOCH_YEAR + self.month / 12, (self.month % 12 + 1) as u8)
    }

    /// The number within the month (and, in the old scheme, within the archive).
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Whether this is an identifier of the scheme before April 2007.
    pub fn is_old(&self) -> bool {
        !self.archive.is_empty()
    }

    /// The new-scheme identifier of that year, month and number, if such a one can exist.
    pub fn from_parts(year: u16, month: u8, number: u32) -> Option<Self> {
        if !(1..=12).contains(&month) || !(2007..=2090).contains(&year) {
            return None;
        }
        let month = months(year, u16::from(month));
        let number_max = if month < FIVE_DIGITS { 9_999 } else { 99_999 };
        (month >= NEW_SCHEME && number <= number_max).then(|| Self {
            month,
            number,
            archive: Box::default(),
        })
    }

    /// The place just below this identifier in the order, for "the smallest, less one".
    ///
    /// arXiv counts from 1 in each month, so the result is at least number 0, which no paper has.
    #[must_use]
    pub fn predecessor(&self) -> Self {
        Self {
            number: self.number.saturating_sub(1),
            ..self.clone()
        }
    }

    /// A number that fits into 4 bytes and keeps the order, for new-scheme identifiers.
    pub fn packed(&self) -> Option<u32> {
        // 1,200 months at most times 100,000 numbers stay below 2^32.
        (!self.is_old() && self.number <= 99_999).then(|| u32::from(self.month) * 100_000 + self.number)
    }

    /// The inverse of [`ArxivId::packed`].
    pub fn from_packed(packed: u32) -> Option<Self> {
        let month = u16::try_from(packed / 100_000).ok()?;
        (month >= NEW_SCHEME).then(|| Self {
            month,
            number: packed % 100_000,
            archive: Box::default(),
        })
    }
}

impl fmt::Display for ArxivId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month) = self.year_month();
        let yy = year % 100;
        if self.is_old() {
            write!(f, "{}/{yy:02}{month:02}{:03}", self.archive, self.number)
        } else if self.month < FIVE_DIGITS {
            write!(f, "{yy:02}{month:02}.{:04}", self.number)
        } else {
            write!(f, "{yy:02}{month:02}.{:05}", self.number)
        }
    }
}

impl fmt::Display for VersionedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}v{}", self.id, self.version)
    }
}

impl FromStr for ArxivId {
    type Err = ParseArxivIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text)
            .map(|(id, _)| id)
            .ok_or_else(|| ParseArxivIdError(text.chars().take(80).collect()))
    }
}

impl TryFrom<String> for ArxivId {
    type Error = ParseArxivIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ArxivId> for String {
    fn from(id: ArxivId) -> Self {
        id.to_string()
    }
}

impl VersionedId {
    /// Reads an identifier with or without a version, in any of the forms in which arXiv and people write it:
    /// an abstract, PDF or HTML address, `arXiv:…`, `oai:arXiv.org:…`, with `math.GT/0309136` for `math/0309136`.
    ///
    /// Returns the identifier and the version, if the text names one.
    pub fn parse(text: &str) -> Result<(ArxivId, Option<u16>), ParseArxivIdError> {
        parse(text).ok_or_else(|| ParseArxivIdError(text.chars().take(80).collect()))
    }
}

/// Strips what may stand before an identifier, then reads it by hand: the grammar is small and this
/// runs once per entry of every feed.
fn parse(text: &str) -> Option<(ArxivId, Option<u16>)> {
    let mut rest = text.trim();
    for scheme in ["https://", "http://"] {
        if let Some(address) = strip_prefix_ignore_case(rest, scheme) {
            let (host, path) = address.split_once('/')?;
            if !["arxiv.org", "export.arxiv.org", "www.arxiv.org"]
                .iter()
                .any(|known| host.eq_ignore_ascii_case(known))
            {
                return None;
            }
            rest = ["abs/", "pdf/", "html/"]
                .iter()
                .find_map(|part| path.strip_prefix(part))?;
        }
    }
    for prefix in ["oai:arXiv.org:", "arXiv:"] {
        rest = strip_prefix_ignore_case(rest, prefix).unwrap_or(rest);
    }
    let rest = rest.strip_suffix(".pdf").unwrap_or(rest);
    // A `v` inside the archive's name (solv-int) is no version: only digits may follow the last `v`.
    let (base, version) = match rest.rsplit_once('v') {
        Some((base, digits)) if is_digits(digits) => (base, Some(digits.parse().ok().filter(|v| *v > 0)?)),
        _ => (rest, None),
    };
    let id = if let Some((archive, digits)) = base.split_once('/') {
        parse_old(archive, digits)?
    } else {
        parse_new(base)?
    };
    Some((id, version))
}

fn parse_new(text: &str) -> Option<ArxivId> {
    let (yymm, number) = text.split_once('.')?;
    if yymm.len() != 4 || !is_digits(yymm) || !is_digits(number) {
        return None;
    }
    let year = 2000 + yymm[..2].parse::<u16>().ok()?;
    let month = yymm[2..].parse::<u8>().ok()?;
    let id = ArxivId::from_parts(year, month, number.parse().ok()?)?;
    let digits = if id.month < FIVE_DIGITS { 4 } else { 5 };
    (number.len() == digits).then_some(id)
}

fn parse_old(archive: &str, digits: &str) -> Option<ArxivId> {
    // The canonical form drops the subject class: math.GT/0309136 is math/0309136.
    let archive = match archive.split_once('.') {
        Some((archive, class)) if class.len() == 2 && class.bytes().all(|b| b.is_ascii_uppercase()) => archive,
        Some(_) => return None,
        None => archive,
    };
    let known =
        !archive.is_empty() && archive.len() <= 16 && archive.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    if !known || digits.len() != 7 || !is_digits(digits) {
        return None;
    }
    let yy = digits[..2].parse::<u16>().ok()?;
    let year = if yy >= 91 { 1900 + yy } else { 2000 + yy };
    let month = digits[2..4].parse::<u16>().ok()?;
    if !(1..=12).contains(&month) || year > 2007 {
        return None;
    }
    let month = months(year, month);
    (month < NEW_SCHEME).then_some(ArxivId {
        month,
        number: digits[4..].parse().ok()?,
        archive: archive.into(),
    })
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn strip_prefix_ignore_case<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, Option<u16>)>) {
        let got = VersionedId::parse(text)
            .ok()
            .map(|(id, version)| (id.to_string(), version));
        assert_eq!(got, expected.map(|(id, version)| (id.to_owned(), version)), "{text:?}");
    }

    #[test]
    fn identifiers_are_read_in_every_form_and_written_in_one() {
        check("2401.01234", Some(("2401.01234", None)));
        check("http://arxiv.org/abs/2104.12255v1", Some(("2104.12255", Some(1))));
        check(
            "https://export.arxiv.org/pdf/0704.0001v12.pdf",
            Some(("0704.0001", Some(12))),
        );
        check("oai:arXiv.org:2203.01250v3", Some(("2203.01250", Some(3))));
        check("arXiv:hep-th/9901001", Some(("hep-th/9901001", None)));
        check("math.GT/0309136v2", Some(("math/0309136", Some(2))));
        check(
            "http://arxiv.org/abs/solv-int/9701001v1",
            Some(("solv-int/9701001", Some(1))),
        );
        check(" 2603.00045 ", Some(("2603.00045", None)));
        for bad in [
            "",
            "abc",
            "2401.1234",
            "1412.12345",
            "2413.01234",
            "0703.0001",
            "9901.0001",
            "hep-th/0704001",
            "2401.01234v0",
            "2401.01234v",
            "https://example.org/abs/2401.01234",
            "http://arxiv.org/api/errors#x",
            "hep-th/99010011",
            "../2401.01234",
            "2401.01234/../x",
            "math.gt/0309136",
            "२४०१.०१२३४",
            "2401.0123é",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn identifiers_sort_in_the_order_in_which_they_were_given() {
        let sorted = [
            "hep-th/9107001",
            "math/9912999",
            "hep-th/0001001",
            "hep-th/0703999",
            "0704.0001",
            "1412.9999",
            "1501.00001",
            "2512.30000",
            "2601.00001",
        ];
        let ids: Vec<ArxivId> = sorted.iter().map(|text| text.parse().unwrap()).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
        for pair in ids.windows(2) {
            assert!(pair[0] <= pair[1].predecessor() && pair[1].predecessor() < pair[1]);
        }
    }

    #[test]
    fn packing_keeps_identifier_and_order() {
        for text in ["0704.0001", "1412.9999", "1501.00001", "2601.99999"] {
            let id: ArxivId = text.parse().unwrap();
            assert_eq!(id.packed().and_then(ArxivId::from_packed), Some(id));
        }
        assert_eq!("hep-th/9901001".parse::<ArxivId>().unwrap().packed(), None);
    }
}
