//! The value of one knob at which two designs cost the same, and whether the cheaper one serves its users there.

use super::super::differences::differs;
use super::super::judge::judge;
use super::super::result::{DesignResult, Estimate, RunResult, Verdict};
use super::boundary::{Boundary, Decision, boundary};
use super::found::{Answer, Outcome, Warning};
use super::grid::{Grid, plain};
use super::probe::{Probe, Shown, Stop, gap};
use super::turn::{Outturn, Search};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// What was seen at one place.
#[derive(Debug, Clone, Default)]
struct Seen {
    /// Whether the two cost the same in every replication.
    level: bool,
    /// Why each fails its users; empty where it does not.
    fails: [String; 2],
    /// What makes the figures of either doubtful.
    warnings: Vec<Warning>,
}

/// A search for the value at which two designs cost the same.
struct Even<'a> {
    search: &'a Search<'a>,
    grid: &'a Grid,
    designs: [&'a str; 2],
    metric: &'a str,
    thresholds: &'a [(String, String)],
    /// By place.
    seen: RefCell<BTreeMap<usize, Seen>>,
}

/// Searches one knob for the value at which two designs cost the same by `metric`. Takes for granted that the cheaper
/// one changes at most once. Where the cheaper one misses a threshold (metric and expression), or serves a smaller share than
/// the other, the answer says so.
pub fn break_even(
    search: &Search,
    grid: &Grid,
    designs: [&str; 2],
    metric: &str,
    thresholds: &[(String, String)],
) -> Outturn {
    let even = Even { search, grid, designs, metric, thresholds, seen: RefCell::default() };
    let mut probe = search.probe();
    let (found, turned, stop) = even.boundary(&mut probe);
    let mut answer = even.answer(turned, found);
    answer.points = std::mem::take(&mut probe.points);
    (answer, probe.runs, stop)
}

impl Even<'_> {
    /// Where the cheaper design changes, and whether it is the second one that is cheaper at the low end.
    fn boundary(&self, probe: &mut Probe) -> (Boundary, bool, Option<Stop>) {
        let last = self.grid.len() - 1;
        let ends = self.ask(probe, 0).and_then(|low| Ok((low, self.ask(probe, last)?)));
        let (low, high) = match ends {
            Ok(both) => both,
            Err(stop) => return (Boundary::default(), false, Some(stop)),
        };
        let whole = Boundary { last_yes: Some(last), first_no: None };
        match (low, high) {
            (Decision::Yes, Decision::Yes) => return (whole, false, None),
            (Decision::No, Decision::No) => return (whole, true, None),
            (Decision::Undecided, Decision::Undecided) => {
                return (Boundary::default(), false, None);
            }
            _ => {}
        }
        // So turned that the design which is cheaper at the low end says yes there.
        let turned = low == Decision::No || high == Decision::Yes;
        let flip = |decision: Decision| match decision {
            Decision::Yes if turned => Decision::No,
            Decision::No if turned => Decision::Yes,
            as_it_is => as_it_is,
        };
        let mut place = |at: usize| match at {
            0 => Ok(flip(low)),
            at if at == last => Ok(flip(high)),
            at => self.ask(probe, at).map(flip),
        };
        let close = |a, b| self.search.close(self.grid.number(a), self.grid.number(b));
        let (found, stop) = boundary(self.grid.len(), last / 2, &close, &mut place);
        (found, turned, stop)
    }

    /// Yes where the first design is the cheaper one.
    fn ask(&self, probe: &mut Probe, place: usize) -> Result<Decision, Stop> {
        let answer = |result: &RunResult, alpha: f64| {
            let (decision, because, mut seen) = self.cheaper(result, alpha);
            let at = [self.grid.value(place).clone()];
            seen.warnings = result.designs.iter().filter_map(|own| Warning::of(own, &at)).collect();
            self.seen.borrow_mut().insert(place, seen);
            (decision, because)
        };
        probe.decide(&[self.grid.value(place).clone()], &self.designs, &answer)
    }

    fn cheaper(&self, result: &RunResult, alpha: f64) -> (Decision, String, Seen) {
        let [a, b] = self.designs;
        let metric = self.metric;
        let of = |name: &str| result.designs.iter().find(|design| design.name == name);
        let both = of(a).zip(of(b));
        let Some(((one, other), gap)) =
            both.and_then(|both| Some((both, gap(both.0, both.1, metric, alpha)?)))
        else {
            return (
                Decision::Undecided,
                format!("one of the two has no {metric}"),
                Seen::default(),
            );
        };
        let decision = if gap.high < 0.0 {
            Decision::Yes
        } else if gap.low > 0.0 {
            Decision::No
        } else {
            Decision::Undecided
        };
        let fails = [(one, other), (other, one)]
            .map(|(own, than)| fails(own, than, self.thresholds, self.search.show));
        let cost = |design: &DesignResult| {
            let values = design.replicated(metric).unwrap_or_default();
            let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
            (self.search.show)(metric, mean)
        };
        let mut because = format!("{metric}: {a} {}, {b} {}", cost(one), cost(other));
        for (name, why) in self.designs.iter().zip(&fails).filter(|(_, why)| !why.is_empty()) {
            because.extend(["; ", name, " ", why]);
        }
        let level = gap.value == 0.0 && gap.low == 0.0 && gap.high == 0.0;
        (decision, because, Seen { level, fails, warnings: Vec::new() })
    }

    fn show(&self, place: usize) -> String {
        plain(self.grid.value(place))
    }

    /// What is known of the places that neither side has: that the two cost the same, or cannot be told apart `there`.
    fn between(&self, from: usize, to: usize, there: &str) -> String {
        let seen = self.seen.borrow();
        let level: Vec<usize> =
            seen.range(from..=to).filter(|(_, own)| own.level).map(|(at, _)| *at).collect();
        match (level.first(), level.last()) {
            (Some(first), Some(last)) if first < last => {
                format!("from {} to {} the two cost the same", self.show(*first), self.show(*last))
            }
            (Some(at), _) => format!("at {} the two cost the same", self.show(*at)),
            _ => format!("{there} the two are indistinguishable"),
        }
    }

    /// That the design of this number fails its users where it is the cheaper one: at the place nearest to the break-even, of those that
    /// were looked at `below` it or above.
    fn caveat(&self, design: usize, places: RangeInclusive<usize>, below: bool) -> Option<String> {
        let seen = self.seen.borrow();
        let mut failing = seen.range(places).filter(|(_, own)| !own.fails[design].is_empty());
        let (place, own) = if below { failing.next_back()? } else { failing.next()? };
        let (place, why) = (*place, &own.fails[design]);
        Some(format!("at {} {} {why}", self.show(place), self.designs[design]))
    }

    /// What makes the places on either side of the answer doubtful.
    fn warnings(&self, found: Boundary) -> Vec<Warning> {
        let seen = self.seen.borrow();
        let sides = found.last_yes.into_iter().chain(found.first_no);
        sides.filter_map(|place| seen.get(&place)).flat_map(|own| own.warnings.clone()).collect()
    }

    fn answer(&self, turned: bool, found: Boundary) -> Answer {
        let (low_at, high_at) = if turned { (1, 0) } else { (0, 1) };
        let (low, high) = (self.designs[low_at], self.designs[high_at]);
        let (metric, last) = (self.metric, self.grid.len() - 1);
        let mut caveats: Vec<Option<String>> = Vec::new();
        let (outcome, text) = match (found.last_yes, found.first_no) {
            (Some(yes), Some(no)) => {
                caveats.push(self.caveat(low_at, 0..=yes, true));
                caveats.push(self.caveat(high_at, no..=last, false));
                let (last, first) = (self.show(yes), self.show(no));
                let between = if no > yes + 1 {
                    format!("; {}", self.between(yes + 1, no - 1, "in between"))
                } else {
                    String::new()
                };
                let text =
                    format!("{low} has the lower {metric} up to {last}, {high} from {first} on");
                (Outcome::Found, text + &between)
            }
            (Some(yes), None) if yes == last => {
                caveats.push(self.caveat(low_at, 0..=last, false));
                (Outcome::None, format!("{low} has the lower {metric} in the whole range"))
            }
            (Some(yes), None) => {
                caveats.push(self.caveat(low_at, 0..=yes, true));
                let rest = self.between(yes + 1, last, "beyond it");
                let text = format!("{low} has the lower {metric} up to {}; {rest}", self.show(yes));
                (Outcome::Undecided, text)
            }
            (None, Some(no)) => {
                caveats.push(self.caveat(high_at, no..=last, false));
                let rest = self.between(0, no - 1, "below it");
                let text =
                    format!("{high} has the lower {metric} from {} on; {rest}", self.show(no));
                (Outcome::Undecided, text)
            }
            (None, None) => (Outcome::Undecided, self.between(0, last, "in the whole range")),
        };
        let caveats: Vec<String> = caveats.into_iter().flatten().collect();
        let but = if caveats.is_empty() { "" } else { "; but " };
        let number = |place: usize| self.grid.number(place);
        let estimate = found.last_yes.zip(found.first_no).map(|(yes, no)| Estimate {
            value: f64::midpoint(number(yes), number(no)),
            low: number(yes),
            high: number(no),
        });
        let value = |place: usize| self.grid.value(place).clone();
        Answer {
            design: format!("{low}, {high}"),
            outcome,
            values: found.last_yes.map(|place| vec![value(place)]).unwrap_or_default(),
            beyond: found.first_no.map(value),
            estimate,
            indistinguishable: Vec::new(),
            text: format!("{text}{but}{}", caveats.join(", ")),
            warnings: self.warnings(found),
            points: Vec::new(),
        }
    }
}

/// Why a design fails its users: the thresholds that it surely misses; without such, that it surely serves a smaller share than the
/// other design.
fn fails(
    own: &DesignResult,
    than: &DesignResult,
    thresholds: &[(String, String)],
    show: Shown,
) -> String {
    let missed = |(metric, expression): &(String, String)| {
        let judged = judge(own, metric, expression)?;
        (judged.verdict == Verdict::Fail).then(|| {
            let seen = judged.observed.map_or("none".into(), |e| show(metric, e.value));
            format!("{metric} {expression} ({seen})")
        })
    };
    let missed: Vec<String> = thresholds.iter().filter_map(missed).collect();
    if !missed.is_empty() {
        return format!("misses {}", missed.join(", "));
    }
    let (rate, other) = (own.success_rate.value, than.success_rate.value);
    let less = differs(own, than, "success_rate").is_some_and(|gap| gap.high < 0.0);
    if !less {
        return String::new();
    }
    let shown = |rate: f64| show("success_rate", rate);
    format!("serves {} of its requests, {} {}", shown(rate), than.name, shown(other))
}
