//! What a new environment has to go through before it can work: placement, code, network interface, Init.

use super::spec::LambdaSpec;
use crate::kernel::{Span, Stream};
use crate::model::dist::Sampler;
use crate::model::wiring::Wiring;

/// What a VPC adds to a cold start since September 2019 (mikhail.io: p50 0.470 against 0.260 s in 2020).
const VPC_SHARED_INTERFACE: Span = Span::from_millis(200);
/// Until August 2019: share of cold starts that attached an interface, and ln-mean and ln-deviation of its seconds
/// (fit to mikhail.io's figures of April and June 2019).
const VPC_ATTACH: (f64, f64, f64) = (0.51, 2.22, 0.33);
/// Cold start per zipped MB of dependencies (mikhail.io, 2021: 14 MB 1.7 s, 35 MB 3.9 s).
const PER_PACKAGE_MB: Span = Span::from_millis(100);

/// Laws of the parts of a cold start.
pub(super) struct ColdStart {
    place: Sampler,
    init: Sampler,
    attach: Option<Sampler>,
    extra: Span,
}

/// One cold start.
pub(super) struct Start {
    /// Placement, code download and network interface: neither logged nor billed.
    pub(super) place: Span,
    /// Extensions, runtime and function code.
    pub(super) init: Span,
}

impl ColdStart {
    pub(super) fn new(spec: &LambdaSpec, wiring: &Wiring) -> Result<ColdStart, String> {
        let attach = (spec.vpc && wiring.era.attaches_interface())
            .then(|| Sampler::Lognormal(VPC_ATTACH.1 + libm::log(1e9), VPC_ATTACH.2));
        let vpc = if spec.vpc && attach.is_none() { VPC_SHARED_INTERFACE } else { Span::ZERO };
        let init = spec.init.clone().unwrap_or_else(|| spec.runtime.init());
        Ok(ColdStart {
            place: spec.place.sampler(wiring.data)?,
            init: init.sampler(wiring.data)?,
            attach,
            extra: vpc + PER_PACKAGE_MB.scaled(spec.package.mb()),
        })
    }

    /// Draws the start of a new environment.
    pub(super) fn draw(&self, stream: &mut Stream) -> Start {
        let mut place = self.place.sample(stream);
        let init = self.init.sample(stream) + self.extra;
        if let Some(attach) = &self.attach
            && stream.chance(VPC_ATTACH.0)
        {
            place = place + attach.sample(stream);
        }
        Start { place, init }
    }

    /// Draws the Init that an environment repeats inside an invocation.
    pub(super) fn again(&self, stream: &mut Stream) -> Span {
        let _placed = self.place.sample(stream);
        self.init.sample(stream) + self.extra
    }
}
