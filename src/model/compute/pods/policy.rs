//! The policy of an autoscaler with what it remembers: one of those under `model::scale`, fed with what a service shows.

use super::autoscaler::{AutoscalerSpec, METRICS};
use crate::kernel::{Span, Time};
use crate::model::scale::hpa::{
    Controller, History, HpaSpec, Observed, PodState, Values, reconcile,
};
use crate::model::scale::keda::{self, Keda, Operator};
use crate::model::scale::schedule::{Predictive, Scheduled, scheduled};
use crate::model::scale::step::{Beanstalk, Measure, Triggers};
use crate::model::scale::stepping::{StepScaling, Stepping};
use crate::model::scale::tracking::{TargetTracking, Tracker};

/// What a policy may look at.
pub(super) struct Metrics {
    pub(super) now: Time,
    /// Pods wanted so far.
    pub(super) replicas: u32,
    /// Pods with their last samples.
    pub(super) pods: Vec<PodState>,
    /// Requests in progress and waiting, right now.
    pub(super) load: f64,
    /// Over the period of an alarm: percent of the processor, answers, bytes sent by an instance.
    pub(super) cpu: Option<f64>,
    pub(super) answers: Option<f64>,
    pub(super) bytes: Option<f64>,
}

impl Metrics {
    fn of(&self, measure: Measure) -> Option<f64> {
        match measure {
            Measure::NetworkOut => self.bytes,
            Measure::CpuUtilization => self.cpu,
            Measure::RequestCount => self.answers,
        }
    }
}

/// A policy and its memory.
pub(super) enum Policy {
    Hpa(Box<HpaSpec>, History),
    Keda(Box<(Keda, HpaSpec)>, History, Operator),
    Tracking(TargetTracking, Tracker),
    Step(Box<StepScaling>, Box<Stepping>),
    Beanstalk(Beanstalk, Box<Triggers>),
    Scheduled(Vec<Scheduled>),
    Predictive(Predictive),
}

/// Until a point of a metric is seen by its alarm.
const METRIC_DELAY: Span = Span::from_secs(60);

impl Policy {
    pub(super) fn new(spec: &AutoscalerSpec, replicas: u32) -> Policy {
        // The controller notes the present number when it first sees an autoscaler.
        let noted = || History { recommendations: vec![(Time::ZERO, replicas)], events: vec![] };
        let (min, max) = spec.bounds();
        if let Some(hpa) = &spec.hpa {
            Policy::Hpa(Box::new(hpa.clone()), noted())
        } else if let Some(keda) = &spec.keda {
            Policy::Keda(Box::new((keda.clone(), keda.hpa(min, max))), noted(), Operator::default())
        } else if let Some(tracking) = &spec.target_tracking {
            Policy::Tracking(tracking.clone(), Tracker::default())
        } else if let Some(steps) = &spec.step_scaling {
            Policy::Step(Box::new(steps.clone()), Box::default())
        } else if let Some(beanstalk) = &spec.beanstalk {
            Policy::Beanstalk(beanstalk.clone(), Box::default())
        } else if let Some(predictive) = &spec.predictive {
            Policy::Predictive(predictive.clone())
        } else {
            Policy::Scheduled(spec.scheduled.clone().unwrap_or_default())
        }
    }

    /// How often it decides: alarms are acted on every minute, the rest at every sync.
    pub(super) fn period(&self, sync: Span) -> Span {
        match self {
            Policy::Beanstalk(..) => Span::from_secs(60),
            Policy::Keda(specs, ..) => sync.min(specs.0.polling_interval),
            _ => sync,
        }
    }

    /// Period of an alarm's points and the time until it sees one.
    pub(super) fn points(&self) -> Option<(Span, Span)> {
        match self {
            Policy::Tracking(spec, _) => Some((spec.period, METRIC_DELAY)),
            Policy::Step(spec, _) => Some((spec.period, METRIC_DELAY)),
            Policy::Beanstalk(spec, _) => Some((spec.period, METRIC_DELAY)),
            _ => None,
        }
    }

    /// A sync.
    pub(super) fn decide(&mut self, seen: &Metrics, (min, max): (u32, u32)) -> Option<u32> {
        let clamped = |wanted: u32| wanted.clamp(min, max);
        match self {
            Policy::Hpa(spec, history) => {
                Some(reconcile(spec, &Controller::default(), &observed(seen), history).desired)
            }
            Policy::Keda(specs, history, operator) => {
                let (spec, hpa) = &**specs;
                let own = operator.poll(spec, seen.now, seen.replicas, min, seen.load);
                if own.is_some() || seen.replicas == 0 {
                    return own;
                }
                let mut observed = observed(seen);
                let length = vec![(seen.load * 1000.0) as i64];
                observed.external_values.insert(keda::METRIC.to_owned(), length);
                Some(reconcile(hpa, &Controller::default(), &observed, history).desired)
            }
            Policy::Beanstalk(spec, triggers) => {
                triggers.ask(spec, seen.now, seen.replicas, (min, max))
            }
            Policy::Scheduled(entries) => scheduled(entries, seen.now).map(clamped),
            Policy::Predictive(spec) => spec.replicas(seen.now).map(clamped),
            Policy::Tracking(..) | Policy::Step(..) => None,
        }
    }

    /// A point of an alarm.
    pub(super) fn point(&mut self, seen: &Metrics, (min, max): (u32, u32)) -> Option<u32> {
        match self {
            Policy::Tracking(spec, tracker) => {
                let wanted = tracker.point(spec, seen.now, seen.replicas, seen.cpu);
                wanted.map(|wanted| wanted.clamp(min, max))
            }
            Policy::Step(spec, stepping) => {
                let metric = seen.of(spec.measure);
                let wanted = stepping.point(spec, seen.now, seen.replicas, metric);
                wanted.map(|wanted| wanted.clamp(min, max))
            }
            Policy::Beanstalk(spec, triggers) => {
                triggers.point(spec, seen.of(spec.measure));
                None
            }
            _ => None,
        }
    }

    /// No pod is on its way any more, in or out.
    pub(super) fn settled(&mut self, now: Time) {
        if let Policy::Beanstalk(spec, triggers) = self {
            triggers.settled(spec, now);
        }
    }
}

/// As the controller sees it.
fn observed(seen: &Metrics) -> Observed {
    let sum = |name: &str| seen.pods.iter().filter_map(|pod| pod.metrics.get(name)).sum();
    let values: Values = METRICS.iter().map(|name| ((*name).to_owned(), vec![sum(name)])).collect();
    Observed {
        now: seen.now,
        replicas: seen.replicas,
        status_replicas: seen.pods.len() as u32,
        pods: seen.pods.clone(),
        object_values: values.clone(),
        external_values: values,
    }
}
