//! Why the autoscaler did what it did, in Kubernetes' own words. Messages for people are left to reports.

/// A reason as Kubernetes writes it into a condition or an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The number of replicas is zero: somebody switched the workload off.
    ScalingDisabled,
    /// A resource metric could not be had.
    FailedGetResourceMetric,
    /// A container's resource metric could not be had.
    FailedGetContainerResourceMetric,
    /// A metric of the pods could not be had.
    FailedGetPodsMetric,
    /// A metric of another object could not be had.
    FailedGetObjectMetric,
    /// A metric from outside the cluster could not be had.
    FailedGetExternalMetric,
    /// At least one metric gave a number of replicas.
    ValidMetricFound,
    /// No stabilisation changed the recommendation.
    ReadyForNewScale,
    /// A lower recommendation of the window held a scale-up back.
    ScaleUpStabilized,
    /// A higher recommendation of the window held a scale-down back.
    ScaleDownStabilized,
    /// No limit changed the recommendation.
    DesiredWithinRange,
    /// Policies (or the doubling rule) allow no faster growth.
    ScaleUpLimit,
    /// Policies allow no faster shrinking.
    ScaleDownLimit,
    /// `maxReplicas` binds.
    TooManyReplicas,
    /// `minReplicas` binds.
    TooFewReplicas,
    /// There are more replicas than `maxReplicas`: metrics are not asked.
    AboveMaxReplicas,
    /// There are fewer replicas than `minReplicas`: metrics are not asked.
    BelowMinReplicas,
    /// The number of replicas was changed.
    SucceededRescale,
}

impl Reason {
    /// As Kubernetes writes it.
    pub fn name(self) -> &'static str {
        match self {
            Reason::ScalingDisabled => "ScalingDisabled",
            Reason::FailedGetResourceMetric => "FailedGetResourceMetric",
            Reason::FailedGetContainerResourceMetric => "FailedGetContainerResourceMetric",
            Reason::FailedGetPodsMetric => "FailedGetPodsMetric",
            Reason::FailedGetObjectMetric => "FailedGetObjectMetric",
            Reason::FailedGetExternalMetric => "FailedGetExternalMetric",
            Reason::ValidMetricFound => "ValidMetricFound",
            Reason::ReadyForNewScale => "ReadyForNewScale",
            Reason::ScaleUpStabilized => "ScaleUpStabilized",
            Reason::ScaleDownStabilized => "ScaleDownStabilized",
            Reason::DesiredWithinRange => "DesiredWithinRange",
            Reason::ScaleUpLimit => "ScaleUpLimit",
            Reason::ScaleDownLimit => "ScaleDownLimit",
            Reason::TooManyReplicas => "TooManyReplicas",
            Reason::TooFewReplicas => "TooFewReplicas",
            Reason::AboveMaxReplicas => "Current number of replicas above Spec.MaxReplicas",
            Reason::BelowMinReplicas => "Current number of replicas below Spec.MinReplicas",
            Reason::SucceededRescale => "SucceededRescale",
        }
    }

    /// The condition it stands in; none for the two that stand in the event only.
    pub fn condition(self) -> Option<Condition> {
        Some(match self {
            Reason::ReadyForNewScale
            | Reason::ScaleUpStabilized
            | Reason::ScaleDownStabilized
            | Reason::SucceededRescale => Condition::AbleToScale,
            Reason::DesiredWithinRange
            | Reason::ScaleUpLimit
            | Reason::ScaleDownLimit
            | Reason::TooManyReplicas
            | Reason::TooFewReplicas => Condition::ScalingLimited,
            Reason::AboveMaxReplicas | Reason::BelowMinReplicas => return None,
            _ => Condition::ScalingActive,
        })
    }
}

/// A condition in the status of the autoscaler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Whether it could change the number of replicas.
    AbleToScale,
    /// Whether it knows how many are wanted.
    ScalingActive,
    /// Whether a limit changed what it wants.
    ScalingLimited,
}

impl Condition {
    /// As Kubernetes writes it.
    pub fn name(self) -> &'static str {
        match self {
            Condition::AbleToScale => "AbleToScale",
            Condition::ScalingActive => "ScalingActive",
            Condition::ScalingLimited => "ScalingLimited",
        }
    }
}
