//! Arrival times one after the other: never more than one is pending.
//!
//! A rate that changes is a chain of linear pieces with integral Λ(t). The k-th arrival is Λ⁻¹(S_k), with
//! S_k = k for even spacing and S_k a sum of Exp(1) draws for a Poisson process (Çinlar's inversion), so that a higher
//! rate moves every arrival earlier and never reorders draws.

use super::load::{Diurnal, Load, Open, Shape, Spacing, Spike, Spread, Trace, TraceFormat};
use crate::kernel::{Key, Span, Stream, Time};
use crate::model::data::Data;
use rand_distr::{Distribution, Exp1};
use std::sync::Arc;

/// A linear piece of an arrival rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Segment {
    /// Beginning, seconds.
    pub start: f64,
    /// Length, seconds.
    pub length: f64,
    /// Rate at the beginning, per second.
    pub from: f64,
    /// Rate at the end, per second.
    pub to: f64,
}

impl Segment {
    fn area(&self) -> f64 {
        (self.from + self.to) / 2.0 * self.length
    }
    /// The area up to which arrivals belong to it: one exactly on the seam is the next piece's.
    fn own_area(&self) -> f64 {
        self.area() * (1.0 - 1e-12)
    }
    /// Time into the piece at which `area` has been passed: from·x + (to−from)/(2·length)·x² = area.
    fn invert(&self, area: f64) -> f64 {
        if area <= 0.0 {
            return 0.0;
        }
        // The root of a square is exact, so a rate that does not change needs none.
        let root = if self.from.to_bits() == self.to.to_bits() {
            self.from
        } else {
            let slope = (self.to - self.from) / self.length;
            (self.from * self.from + 2.0 * slope * area).max(0.0).sqrt()
        };
        // The form without cancellation; it also serves slope 0.
        let into = 2.0 * area / (self.from + root);
        // Not a number where both rates are zero, and then no area is passed.
        if into < self.length { into } else { self.length }
    }
}

/// A source of arrival times.
#[derive(Debug, Clone)]
pub struct Arrivals {
    kind: Kind,
    stream: Stream,
}

#[derive(Debug, Clone)]
enum Kind {
    Rate {
        segments: Arc<[Segment]>,
        at: usize,
        /// How much of the area of the present segment is used.
        used: f64,
        /// How much of it is its own.
        own: f64,
        even: bool,
        first: bool,
    },
    Times {
        times: Arc<[u64]>,
        at: usize,
    },
    Uniform {
        counts: Arc<[u64]>,
        every: f64,
        at: usize,
        left: u64,
        last: f64,
    },
}

impl Arrivals {
    /// Arrivals of an open, burst or trace load; none for a closed one.
    ///
    /// # Errors
    /// Says what is wrong with the trace file.
    pub fn new(load: &Load, key: Key, data: &Data) -> Result<Option<Arrivals>, String> {
        let kind = match load {
            Load::Closed(_) => return Ok(None),
            Load::Open(open) => Kind::rate(segments(open), open.arrivals == Spacing::Even),
            Load::Burst(burst) => {
                let step = burst.spread.nanos() as f64 / f64::from(burst.requests);
                let time = |i| burst.at.nanos() + (f64::from(i) * step) as u64;
                Kind::Times { times: (0..burst.requests).map(time).collect(), at: 0 }
            }
            Load::Trace(trace) => Kind::trace(trace, data)?,
        };
        Ok(Some(Arrivals { kind, stream: key.named("arrivals").stream() }))
    }

    /// The next arrival.
    #[inline(always)]
    pub fn take_next(&mut self) -> Option<Time> {
        let stream = &mut self.stream;
        match &mut self.kind {
            Kind::Times { times, at } => {
                let time = times.get(*at)?;
                *at += 1;
                Some(Time::from_nanos(*time))
            }
            Kind::Rate { segments, at, used, own, even, first } => {
                let gap: f64 =
                    if *even { f64::from(u8::from(!*first)) } else { Exp1.sample(stream) };
                *first = false;
                *used += gap;
                loop {
                    let segment = segments.get(*at)?;
                    if *used < *own {
                        let seconds = segment.start + segment.invert(*used);
                        return Some(Time::ZERO + Span::from_secs_f64(seconds));
                    }
                    *used = (*used - segment.area()).max(0.0);
                    *at += 1;
                    *own = segments.get(*at).map_or(0.0, Segment::own_area);
                }
            }
            Kind::Uniform { counts, every, at, left, last } => {
                while *left == 0 {
                    *left = *counts.get(*at)?;
                    *at += 1;
                    *last = 0.0;
                }
                // The smallest of `left` uniforms on what remains of the interval.
                *last += (1.0 - *last) * (1.0 - libm::pow(stream.unit_open(), 1.0 / *left as f64));
                *left -= 1;
                let seconds = ((*at - 1) as f64 + last.min(1.0)) * *every;
                Some(Time::ZERO + Span::from_secs_f64(seconds))
            }
        }
    }
}

impl Kind {
    fn rate(segments: Vec<Segment>, even: bool) -> Kind {
        let own = segments.first().map_or(0.0, Segment::own_area);
        Kind::Rate { segments: segments.into(), at: 0, used: 0.0, own, even, first: true }
    }

    fn counts(counts: Vec<u64>, every: Span, spread: Spread) -> Kind {
        let every = every.as_secs_f64();
        match spread {
            Spread::Uniform => {
                Kind::Uniform { counts: counts.into(), every, at: 0, left: 0, last: 0.0 }
            }
            Spread::Poisson => {
                let segment = |(i, &n): (usize, &u64)| {
                    let rate = n as f64 / every;
                    Segment { start: i as f64 * every, length: every, from: rate, to: rate }
                };
                Kind::rate(counts.iter().enumerate().map(segment).collect(), false)
            }
        }
    }

    fn trace(trace: &Trace, data: &Data) -> Result<Kind, String> {
        let file = trace.file.as_str();
        let whole = |v: f64| -> Result<u64, String> {
            let fits = v >= 0.0 && v.fract() == 0.0 && v < 1e12;
            fits.then_some(v as u64).ok_or_else(|| format!("\"{file}\": {v} is not a count"))
        };
        match &trace.format {
            TraceFormat::Starts(starts) => {
                let unit = starts.unit.nanos() as f64;
                times(data.column(file, &starts.column)?, unit, file)
            }
            TraceFormat::Counts(counts) => {
                let column = data.column(file, &counts.column)?;
                let list = column.into_iter().map(whole).collect::<Result<_, _>>()?;
                Ok(Kind::counts(list, counts.every, counts.spread))
            }
            TraceFormat::Azure2019(azure) => {
                let table = data.table(file)?;
                let name = table.column("HashFunction");
                let mut sums = vec![0; 1440];
                for (minute, sum) in sums.iter_mut().enumerate() {
                    let column = data.column(file, &(minute + 1).to_string())?;
                    for (row, value) in table.rows.iter().zip(column) {
                        let is = name.and_then(|at| row.get(at));
                        if azure.function.as_ref().is_none_or(|wanted| is == Some(wanted)) {
                            *sum += whole(value)?;
                        }
                    }
                }
                Ok(Kind::counts(sums, Span::from_secs(60), azure.spread))
            }
            TraceFormat::Azure2021(azure) => {
                let table = data.table(file)?;
                let name = table.column("func");
                let ends = data.column(file, "end_timestamp")?;
                let durations = data.column(file, "duration")?;
                let wanted = |row: &Vec<String>| {
                    let is = name.and_then(|at| row.get(at));
                    azure.function.as_ref().is_none_or(|wanted| is == Some(wanted))
                };
                let rows = table.rows.iter().zip(ends.iter().zip(&durations));
                let starts: Vec<f64> = rows
                    .filter(|(row, _)| wanted(row))
                    .map(|(_, (end, long))| end - long)
                    .collect();
                let first = starts.iter().copied().fold(f64::INFINITY, f64::min);
                times(starts.into_iter().map(|start| start - first).collect(), 1e9, file)
            }
        }
    }
}

fn times(column: Vec<f64>, unit: f64, file: &str) -> Result<Kind, String> {
    let time = |v: f64| {
        let ns = v * unit;
        let fits = (0.0..4e18).contains(&ns);
        fits.then_some(ns.round() as u64)
            .ok_or_else(|| format!("\"{file}\": {v} is not a start time from 0 on"))
    };
    let mut times: Vec<u64> = column.into_iter().map(time).collect::<Result<_, _>>()?;
    times.sort_unstable();
    Ok(Kind::Times { times: times.into(), at: 0 })
}

/// The linear pieces of an open load.
pub(super) fn segments(open: &Open) -> Vec<Segment> {
    let flat = |start: f64, length: f64, rate: f64| Segment { start, length, from: rate, to: rate };
    match &open.rate {
        Shape::Steady(steady) => {
            vec![flat(0.0, steady.duration.as_secs_f64(), steady.rate.per_second())]
        }
        Shape::Stages(stages) => {
            let (mut start, mut from) = (0.0, stages.start.per_second());
            let mut pieces = Vec::new();
            for stage in &stages.stages {
                let (length, to) = (stage.duration.as_secs_f64(), stage.target.per_second());
                if length > 0.0 {
                    pieces.push(Segment { start, length, from, to });
                }
                start += length;
                from = to;
            }
            pieces
        }
        Shape::Spike(spike) => spike_segments(spike),
        Shape::Diurnal(wave) => diurnal_segments(wave),
    }
}

fn spike_segments(spike: &Spike) -> Vec<Segment> {
    let (base, peak) = (spike.base.per_second(), spike.peak.per_second());
    let (at, lasts) = (spike.at.as_secs_f64(), spike.lasts.as_secs_f64());
    let ramp = spike.ramp.as_secs_f64().min(lasts / 2.0);
    let end = spike.duration.as_secs_f64();
    let corners = [
        (0.0, base, at, base),
        (at, base, at + ramp, peak),
        (at + ramp, peak, at + lasts - ramp, peak),
        (at + lasts - ramp, peak, at + lasts, base),
        (at + lasts, base, end, base),
    ];
    let piece = |(start, from, stop, to): (f64, f64, f64, f64)| {
        let (stop, length) = (stop.min(end), stop - start);
        // A piece cut off by the end of the run keeps its slope.
        let to = if length > 0.0 { from + (to - from) * ((stop - start) / length) } else { to };
        (stop > start).then_some(Segment { start, length: stop - start, from, to })
    };
    corners.into_iter().filter_map(piece).collect()
}

fn diurnal_segments(wave: &Diurnal) -> Vec<Segment> {
    const STEP: f64 = 300.0;
    const DAY: f64 = 86_400.0;
    let end = wave.duration.as_secs_f64();
    let rate = |t: f64| {
        let phase = (t - wave.peak_at.as_secs_f64()) / DAY * std::f64::consts::TAU;
        wave.mean.per_second() * (1.0 + wave.swing * libm::cos(phase))
    };
    let pieces = (end / STEP).ceil() as usize;
    let piece = |i: usize| {
        let start = i as f64 * STEP;
        let stop = (start + STEP).min(end);
        Segment { start, length: stop - start, from: rate(start), to: rate(stop) }
    };
    (0..pieces).map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::data::Table;

    fn arrivals(text: &str, seed: u64, data: &Data) -> Vec<f64> {
        let load: Load = serde_json::from_str(text).unwrap();
        let mut source = Arrivals::new(&load, Key::root(seed, 0), data).unwrap().unwrap();
        std::iter::from_fn(|| source.take_next()).map(Time::as_secs_f64).collect()
    }

    #[test]
    fn even_arrivals_are_evenly_spaced() {
        let text =
            r#"{"open": {"rate": {"steady": {"rate": "20/s", "for": "5s"}}, "arrivals": "even"}}"#;
        let times = arrivals(text, 1, &Data::default());
        assert_eq!(times.len(), 100);
        assert_eq!(&times[..3], &[0.0, 0.05, 0.1]);
    }

    #[test]
    fn a_ramp_has_the_area_under_it() {
        let text = r#"{"open": {"arrivals": "even", "rate": {"stages": {"start": "0/s", "stages": [
            {"duration": "10s", "target": "100/s"}, {"duration": "0s", "target": "50/s"},
            {"duration": "10s", "target": "50/s"}]}}}}"#;
        let times = arrivals(text, 1, &Data::default());
        assert_eq!(times.len(), 1000);
        assert_eq!(times.iter().filter(|&&t| t < 10.0).count(), 500);
        // Half-way up the ramp a quarter of its arrivals have come.
        assert_eq!(times.iter().filter(|&&t| t < 5.0).count(), 125);
        assert!(times.windows(2).all(|w| w[0] <= w[1]));
    }

    #[test]
    fn poisson_counts_have_the_right_mean_and_spread() {
        let spike = r#"{"open": {"rate": {"spike": {"base": "10/s", "peak": "100/s", "at": "10s",
            "lasts": "10s", "ramp": "2s", "for": "30s"}}}}"#;
        // Area: 10 s·10 + (2·55 + 6·100 + 2·55) + 10 s·10 = 1,020.
        let counts: Vec<f64> =
            (0..400).map(|seed| arrivals(spike, seed, &Data::default()).len() as f64).collect();
        let mean = counts.iter().sum::<f64>() / 400.0;
        let var = counts.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / 399.0;
        assert!((mean - 1020.0).abs() < 5.0 * (1020.0_f64 / 400.0).sqrt(), "{mean}");
        // Index of dispersion 1, five standard errors of a variance.
        assert!((var / 1020.0 - 1.0).abs() < 5.0 * (2.0_f64 / 399.0).sqrt(), "{var}");
    }

    #[test]
    fn a_day_has_its_mean_and_its_peak() {
        let text = r#"{"open": {"arrivals": "even", "rate": {"diurnal": {"mean": "10/s", "swing": 0.5,
            "peak_at": "14h", "for": "24h"}}}}"#;
        let times = arrivals(text, 1, &Data::default());
        assert!((times.len() as f64 - 864_000.0).abs() <= 2.0, "{}", times.len());
        let hour = |h: f64| times.iter().filter(|&&t| (t / 3600.0 - h).abs() < 0.5).count() as f64;
        assert!((hour(14.0) / hour(2.0) - 3.0).abs() < 0.05);
    }

    fn table(header: &[&str], rows: &[&[&str]]) -> Table {
        let own = |cells: &[&str]| cells.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>();
        Table { header: own(header), rows: rows.iter().map(|r| own(r)).collect() }
    }

    #[test]
    fn traces_of_every_layout() {
        let mut data = Data::default();
        data.insert("s.csv", table(&["start_ms"], &[&["500"], &["100"], &["250"]]));
        let starts = r#"{"trace": {"file": "s.csv", "format": {"starts": {"column": "start_ms", "unit": "1ms"}}}}"#;
        assert_eq!(arrivals(starts, 1, &data), [0.1, 0.25, 0.5]);

        data.insert("c.csv", table(&["n"], &[&["3"], &["0"], &["5"]]));
        let counts =
            r#"{"trace": {"file": "c.csv", "format": {"counts": {"column": "n", "every": "1m"}}}}"#;
        let times = arrivals(counts, 1, &data);
        assert_eq!(times.iter().filter(|&&t| t < 60.0).count(), 3);
        assert_eq!(times.iter().filter(|&&t| (120.0..180.0).contains(&t)).count(), 5);
        assert!(times.windows(2).all(|w| w[0] <= w[1]));

        let minutes: Vec<String> = (1..=1440).map(|m| m.to_string()).collect();
        let mut header = vec!["HashOwner", "HashApp", "HashFunction", "Trigger"];
        header.extend(minutes.iter().map(String::as_str));
        let row = |f: &'static str, first: &'static str| {
            let mut cells = vec!["o", "a", f, "http", first];
            cells.resize(1444, "0");
            cells
        };
        let (one, two) = (row("f1", "4"), row("f2", "7"));
        data.insert("a19.csv", table(&header, &[&one, &two]));
        let all = r#"{"trace": {"file": "a19.csv", "format": {"azure_2019": {}}}}"#;
        assert_eq!(arrivals(all, 1, &data).len(), 11);
        let only =
            r#"{"trace": {"file": "a19.csv", "format": {"azure_2019": {"function": "f2"}}}}"#;
        assert_eq!(arrivals(only, 1, &data).len(), 7);

        let header = ["app", "func", "end_timestamp", "duration"];
        let rows: [&[&str]; 2] = [&["a", "f", "10.5", "0.5"], &["a", "f", "9", "2"]];
        data.insert("a21.csv", table(&header, &rows));
        let azure = r#"{"trace": {"file": "a21.csv", "format": {"azure_2021": {}}}}"#;
        assert_eq!(arrivals(azure, 1, &data), [0.0, 3.0]);
    }
}
