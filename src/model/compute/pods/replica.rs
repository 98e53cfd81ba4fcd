//! One pod as its controllers see it, and the laws of its life.

use super::autoscaler::AutoscalerSpec;
use super::kubelet::beliefs;
use super::lifecycle::{Lifecycle, RollingUpdate, Sigterm};
use super::scaler::Sample;
use super::usage::Counter;
use crate::kernel::{Span, Time};
use crate::model::data::Data;
use crate::model::dist::Sampler;
use crate::model::probe::{Belief, ProbeSpec};

/// Where a pod stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Absent,
    /// No machine or host has room for it.
    Waiting,
    /// Scheduled: image, start of the container.
    Starting,
    /// It has run, and is not ready.
    Running,
    Ready,
    Draining,
}

/// What is known of a pod.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one pod")]
pub(super) struct Row {
    pub(super) stage: Stage,
    /// Counts its lives: a timer of an earlier one is stale.
    pub(super) life: u32,
    /// Its host.
    pub(super) host: u16,
    /// Of which rollout it is, and whether its host is drained.
    pub(super) generation: u32,
    pub(super) leaving: bool,
    /// When it was created, when the kubelet took it up, when its container ran, when its readiness last changed.
    pub(super) created: Time,
    pub(super) scheduled: Option<Time>,
    pub(super) runs: Time,
    pub(super) changed: Time,
    /// Reference work, and answers since the last sample.
    pub(super) counter: Counter,
    pub(super) answers: u64,
    pub(super) sample: Option<Sample>,
    /// Startup, liveness, readiness.
    pub(super) beliefs: [Belief; 3],
    /// Failed startup probes.
    pub(super) startup_failures: u32,
    /// Whether its containers are ready, and whether the balancer finds it healthy.
    pub(super) contained: bool,
    pub(super) gate: bool,
    /// Whether its process has got SIGTERM.
    pub(super) signalled: bool,
    /// Whether its container starts again when it has ended, how often it has since it last ran for long, and how often in all.
    pub(super) again: bool,
    pub(super) restarts: u32,
    pub(super) restarted: u32,
    /// Whether proxies send to it, and the numbers of the changes that have happened and have reached them.
    pub(super) published: bool,
    pub(super) told: (bool, u32),
    pub(super) heard: u32,
}

/// The laws of a pod's life.
pub(super) struct Laws {
    pub(super) start: Sampler,
    pub(super) boot: Sampler,
    /// Without a readiness probe: from a container that runs to a ready pod; none: at once.
    pub(super) ready: Option<Sampler>,
    pub(super) probes: [Option<ProbeSpec>; 3],
    pub(super) pre_stop: Span,
    pub(super) sigterm: Sigterm,
    pub(super) linger: Span,
    pub(super) fails_probes: bool,
    /// None: as long as it takes.
    pub(super) grace: Option<Span>,
    pub(super) lag: Option<Sampler>,
    pub(super) gate: bool,
    pub(super) update: RollingUpdate,
    pub(super) budget: Option<u32>,
}

impl Laws {
    pub(super) fn of_lifecycle(spec: &Lifecycle, data: &Data) -> Result<Laws, String> {
        Ok(Laws {
            start: spec.start.sampler(data)?,
            boot: spec.boot.sampler(data)?,
            ready: None,
            probes: [spec.startup.clone(), spec.liveness.clone(), spec.readiness.clone()],
            pre_stop: spec.pre_stop,
            sigterm: spec.sigterm,
            linger: spec.linger,
            fails_probes: spec.fails_probes,
            grace: Some(spec.grace),
            lag: Some(spec.endpoint_lag.sampler(data)?),
            gate: spec.readiness_gate,
            update: spec.rolling_update.clone(),
            budget: spec.disruption_budget,
        })
    }

    /// An autoscaler's own short form: no probes, and no end of the grace.
    pub(super) fn of_autoscaler(spec: &AutoscalerSpec, data: &Data) -> Result<Laws, String> {
        Ok(Laws {
            start: spec.start.sampler(data)?,
            boot: Sampler::Constant(0.0),
            ready: Some(spec.ready.sampler(data)?),
            probes: [None, None, None],
            pre_stop: spec.drain,
            sigterm: Sigterm::Drain,
            linger: Span::ZERO,
            fails_probes: false,
            grace: None,
            lag: None,
            gate: false,
            update: RollingUpdate::default(),
            budget: None,
        })
    }
}

impl Row {
    pub(super) fn new(ready: bool) -> Row {
        Row {
            stage: if ready { Stage::Ready } else { Stage::Absent },
            life: 0,
            host: 0,
            generation: 0,
            leaving: false,
            created: Time::ZERO,
            scheduled: Some(Time::ZERO),
            runs: Time::ZERO,
            changed: Time::ZERO,
            counter: if ready { Counter::idle_so_far() } else { Counter::default() },
            answers: 0,
            sample: None,
            beliefs: beliefs(ready),
            startup_failures: 0,
            contained: ready,
            gate: ready,
            signalled: false,
            again: false,
            restarts: 0,
            restarted: 0,
            published: ready,
            told: (ready, 0),
            heard: 0,
        }
    }

    /// Its host is drained.
    pub(super) fn leave(&mut self) {
        self.leaving = true;
    }

    /// Whether it is to be replaced: by a rollout, or since its host is drained.
    pub(super) fn is_old(&self, latest: u32) -> bool {
        self.generation != latest || self.leaving
    }

    /// Whether it counts: it exists, and is not being deleted.
    pub(super) fn here(&self) -> bool {
        !matches!(self.stage, Stage::Absent | Stage::Draining)
    }
}
