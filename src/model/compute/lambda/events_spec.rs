//! Asynchronous invocation as the scenario writes it.

use crate::kernel::Span;
use crate::model::component::Check;
use crate::model::era::Era;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Asynchronous invocation of a function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventsSpec {
    /// Retries after an error of the function; none: 2. Fixed until November 2019.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2), extend("x-source" = "Lambda guide, asynchronous invocation: 2"))]
    pub retries: Option<u8>,
    /// Age at which an event is given up; none: 6 h. Fixed until November 2019.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-source" = "Lambda guide, asynchronous invocation: 60 s to 6 h, 6 h unless said"))]
    pub maximum_age: Option<Span>,
    /// Growth of the wait after each further throttle, from 1 s to at most 300 s.
    #[serde(default = "throttle_factor_default")]
    #[schemars(range(min = 1.0, max = 100.0), extend("x-source" = "the guide says exponential and gives no factor: assumed", "x-assumed" = true))]
    pub throttle_factor: f64,
    /// Queue that takes events which nobody could work on (dead-letter queue or failure destination).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<String>,
}

fn throttle_factor_default() -> f64 {
    2.0
}

impl Default for EventsSpec {
    fn default() -> Self {
        EventsSpec {
            retries: None,
            maximum_age: None,
            throttle_factor: throttle_factor_default(),
            on_failure: None,
        }
    }
}

/// Bounds of the maximum event age.
const EVENT_AGE: (Span, Span) = (Span::from_secs(60), Span::from_secs(21_600));

impl EventsSpec {
    /// Retries after an error of the function.
    pub fn retries(&self) -> u8 {
        self.retries.unwrap_or(2)
    }
    /// Age at which an event is given up.
    pub fn age_max(&self) -> Span {
        self.maximum_age.unwrap_or(EVENT_AGE.1)
    }
    pub(super) fn check(&self, check: &mut Check) {
        for (path, set) in [
            ("events.retries", self.retries.is_some()),
            ("events.maximum_age", self.maximum_age.is_some()),
        ] {
            if set && check.era < Era::Y2020 {
                check.problem(
                    "E0330",
                    path,
                    format!("era {} has no settings of asynchronous invocation", check.era.name()),
                    "leave it out (2 retries, 6 h), or choose era y2020 or later",
                );
            }
        }
        let age = self.age_max();
        if age < EVENT_AGE.0 || age > EVENT_AGE.1 {
            check.problem(
                "E0343",
                "events.maximum_age",
                format!("an event age of {age} is outside 60s to 6h"),
                "choose an age that Lambda offers",
            );
        }
        if let Some(name) = &self.on_failure {
            check.target("events.on_failure", name);
            if check.nodes.get(name).is_some_and(|kind| *kind != "sqs") {
                check.problem(
                    "E0303",
                    "events.on_failure",
                    format!("\"{name}\" is no queue"),
                    "name a node of kind sqs",
                );
            }
        }
    }
}
