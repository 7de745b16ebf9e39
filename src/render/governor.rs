//! How much fits into one mail. Gmail cuts HTML at about 102 kB, and what it hides first is how to stop.

use super::{PersonalLinks, RenderError, Renderer, Sources};
use crate::model::{ArxivId, DigestRecord, Shown};

/// No limit below this is honoured, in bytes: one paper with everything around it always fits.
pub const HTML_BYTES_MIN: usize = 40_000;

/// The least that any paper takes, in bytes as it travels: a line with the shortest title. It spares rendering what
/// cannot fit anyway.
pub(super) const LINE_BYTES_MIN: usize = 150;

/// A digest that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fitted {
    /// What to enqueue.
    pub record: DigestRecord,
    /// Papers that did not fit: they stay pending, and the record counts them as waiting.
    pub cut: Vec<ArxivId>,
}

impl Renderer {
    /// Cuts a digest down to `html_bytes_max` before it is enqueued.
    ///
    /// From the bottom of the mail upwards abstracts are shortened, then papers shown by title only, then in one line
    /// each; then papers are left for the next digest, always the last of the longest section, so that no keyword is
    /// silenced by another. At least one paper stays.
    ///
    /// # Errors
    /// As [`Renderer::render`].
    pub fn fit(
        &self,
        record: DigestRecord,
        sources: &Sources<'_>,
        links: &PersonalLinks,
    ) -> Result<Fitted, RenderError> {
        let bytes_max = self.settings.html_bytes_max.max(HTML_BYTES_MIN);
        let plan = Plan::new(record);
        let fits = |step: usize| -> Result<bool, RenderError> {
            let fitted = plan.at(step);
            let html = self.html(&fitted.record, sources, links)?;
            Ok(html.quoted_printable_len() <= bytes_max)
        };
        let mut low = plan.first_step(bytes_max / LINE_BYTES_MIN);
        if fits(low)? {
            return Ok(plan.at(low));
        }
        // `low` is too large, `high` is the last resort; in between the size only falls.
        let mut high = plan.n_steps();
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            if fits(middle)? {
                high = middle;
            } else {
                low = middle;
            }
        }
        Ok(plan.at(high))
    }
}

/// How papers are shown when a digest gives way, in the order of its giving way.
const TIERS: [Shown; 3] = [Shown::Short, Shown::Title, Shown::Line];

/// The order in which a digest gives way, one paper at each step.
struct Plan {
    record: DigestRecord,
    /// For each of [`TIERS`] the papers (section, place) that can be shown so, from the bottom.
    tiers: [Vec<(usize, usize)>; 3],
    /// Sections that lose their last paper, in turn.
    drop: Vec<usize>,
}

impl Plan {
    fn new(record: DigestRecord) -> Self {
        let tiers = TIERS.map(|tier| {
            let mut places: Vec<(usize, usize)> = Vec::new();
            for (section, papers) in record.sections.iter().enumerate() {
                let all = papers.papers.iter().enumerate();
                places.extend(
                    all.filter(|(_, paper)| paper.shown > tier && paper.replaces.is_none())
                        .map(|(place, _)| (section, place)),
                );
            }
            places.reverse();
            places
        });
        let mut lengths: Vec<usize> = record.sections.iter().map(|section| section.papers.len()).collect();
        let mut drop = Vec::new();
        for _ in 1..lengths.iter().sum() {
            // The last of the longest: `max_by_key` gives the last of equals.
            if let Some((section, length)) = lengths.iter_mut().enumerate().max_by_key(|(_, length)| **length) {
                *length -= 1;
                drop.push(section);
            }
        }
        Self { record, tiers, drop }
    }

    /// Steps until every paper is shown as small as it can be.
    fn n_tier_steps(&self) -> usize {
        self.tiers.iter().map(Vec::len).sum()
    }

    fn n_steps(&self) -> usize {
        self.n_tier_steps() + self.drop.len()
    }

    /// The first step that is worth trying when at most `papers_max` papers can fit.
    fn first_step(&self, papers_max: usize) -> usize {
        let n_papers = self.record.papers().count();
        match n_papers.checked_sub(papers_max.max(1)) {
            None | Some(0) => 0,
            Some(excess) => self.n_tier_steps() + excess,
        }
    }

    fn at(&self, step: usize) -> Fitted {
        let mut record = self.record.clone();
        let mut n_left = step;
        for (places, shown) in self.tiers.iter().zip(TIERS) {
            let n_here = n_left.min(places.len());
            n_left -= n_here;
            for (section, place) in &places[..n_here] {
                record.sections[*section].papers[*place].shown = shown;
            }
        }
        let n_drop = n_left.min(self.drop.len());
        let mut cut = Vec::with_capacity(n_drop);
        for section in &self.drop[..n_drop] {
            let section = &mut record.sections[*section];
            if let Some(paper) = section.papers.pop() {
                cut.push(paper.id);
                section.n_waiting += 1;
            }
        }
        Fitted { record, cut }
    }
}
