//! The values of one knob, in order, so that a search speaks of places and not of numbers.

use serde_json::Value;

/// Most places of a knob without a step.
const PLACES: usize = 1_000;

/// One path of a scenario and the values it may take, ascending.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// Path in the scenario.
    pub path: String,
    values: Vec<Value>,
    numbers: Vec<f64>,
}

/// A number and what follows it: `10/s`, `512MB`, `3`.
fn split(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    // An exponent is taken only if digits follow: `2e3`, but `2eggs` is two eggs.
    let mut end = text.len();
    while end > 0 {
        if text.is_char_boundary(end)
            && let Ok(number) = text[..end].parse::<f64>()
            && number.is_finite()
        {
            return Some((number, text[end..].trim()));
        }
        end -= 1;
    }
    None
}

fn number_of(text: &str) -> Result<(f64, &str), String> {
    split(text).ok_or_else(|| {
        format!("\"{}\" does not begin with a number; write 10..200 or 1,2,3", text.trim())
    })
}

impl Grid {
    /// Reads `low..high`, `low..high:step` or `a,b,c`; all with the same unit, if any. A range of whole numbers without
    /// a unit goes in steps of 1, any other in 1,000.
    ///
    /// # Errors
    /// Says what is not understood.
    pub fn parse(path: &str, text: &str) -> Result<Grid, String> {
        if let Some((low, rest)) = text.split_once("..") {
            let (high, step) = rest.split_once(':').map_or((rest, None), |(h, s)| (h, Some(s)));
            return Grid::range(path, low, high, step);
        }
        let mut items = text.split(',').map(number_of).collect::<Result<Vec<_>, _>>()?;
        items.sort_by(|a, b| a.0.total_cmp(&b.0));
        items.dedup_by(|a, b| a.0.total_cmp(&b.0).is_eq());
        let unit = one_unit(items.iter().map(|item| item.1))?;
        Ok(Grid::of(path, items.into_iter().map(|item| item.0), unit))
    }

    fn range(path: &str, low: &str, high: &str, step: Option<&str>) -> Result<Grid, String> {
        let ((from, a), (to, b)) = (number_of(low)?, number_of(high)?);
        let step = step.map(number_of).transpose()?;
        let unit = one_unit([a, b].into_iter().chain(step.map(|step| step.1)))?;
        if to <= from {
            return Err(format!("{low}..{high} goes down; write the lower end first"));
        }
        let whole = unit.is_empty() && from.fract() == 0.0 && to.fract() == 0.0;
        let step = match step {
            Some((step, _)) if step > 0.0 => step,
            Some(_) => return Err("a step is larger than 0".into()),
            None if whole => 1.0,
            None => (to - from) / PLACES as f64,
        };
        let steps = ((to - from) / step + 1e-9).floor();
        if steps > 1e7 {
            return Err(format!("{steps:e} values; write a larger step"));
        }
        let places = steps as usize + 1;
        // A product of rounded decimals: 1.1 × 3 is 3.3 and not 3.3000000000000003.
        let neat = |v: f64| format!("{v:.9e}").parse().unwrap_or(v);
        Ok(Grid::of(path, (0..places).map(|i| neat(from + step * i as f64)), unit))
    }

    fn of(path: &str, numbers: impl Iterator<Item = f64>, unit: &str) -> Grid {
        let numbers: Vec<f64> = numbers.collect();
        let value = |number: &f64| match (unit.is_empty(), number.fract() == 0.0) {
            (true, true) => Value::from(*number as i64),
            (true, false) => Value::from(*number),
            (false, _) => Value::from(format!("{number}{unit}")),
        };
        Grid { path: path.to_owned(), values: numbers.iter().map(value).collect(), numbers }
    }

    /// How many values.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The value at a place, as it is written in a scenario.
    pub fn value(&self, at: usize) -> &Value {
        &self.values[at]
    }

    /// The value at a place without its unit.
    pub fn number(&self, at: usize) -> f64 {
        self.numbers[at]
    }

    /// The place of the largest value that is not above a number.
    pub fn place(&self, number: f64) -> usize {
        self.numbers.partition_point(|v| *v <= number).saturating_sub(1)
    }
}

/// A value without the quotes of JSON.
pub(super) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn one_unit<'a>(units: impl IntoIterator<Item = &'a str>) -> Result<&'a str, String> {
    let mut known = "";
    for unit in units.into_iter().filter(|unit| !unit.is_empty()) {
        if !known.is_empty() && known != unit {
            return Err(format!("\"{known}\" and \"{unit}\" are different units; write one"));
        }
        known = unit;
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_lists() {
        let grid = |text| Grid::parse("p", text).unwrap();
        let users = grid("100..2000");
        assert_eq!(
            (users.len(), users.value(1), users.place(150.5)),
            (1901, &Value::from(101), 50)
        );
        assert_eq!(grid("10..20:5").value(2), &Value::from(20));
        assert_eq!(grid("1/s..2/s:0.1/s").value(3), &Value::from("1.3/s"));
        assert_eq!(grid("1..2/s:0.5").value(1), &Value::from("1.5/s"));
        assert_eq!(grid("1024MB, 512MB").value(0), &Value::from("512MB"));
        assert_eq!(grid("0.5..1.5").len(), 1_001);
    }

    #[test]
    fn what_is_not_understood_is_said() {
        for text in ["", "a..b", "5..1", "1/s..2ms", "1,x", "1..9:0", "1..9:-1", "0..1:1e-30"] {
            assert!(Grid::parse("p", text).is_err(), "{text}");
        }
    }
}
