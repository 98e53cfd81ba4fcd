//! The part of the catalogue that stops nothing: what a run follows otherwise than its author may think, or leaves out.

use super::codes::{Code, code};

/// Warnings, in order of code.
pub(super) const WARNINGS: &[Code] = &[
    code(
        "W0401",
        "not on the bill",
        "A node has no priced item, so it costs nothing in the results. Name what it runs on, or accept that the bill leaves it out.",
    ),
    code(
        "W0402",
        "hosts that stay empty",
        "There are more hosts than pods; they are on the bill all the same.",
    ),
    code(
        "W0403",
        "killed before its hooks are over",
        "The grace period of a pod ends before its preStop hook and the time for which it lingers after SIGTERM: it is killed, and requests in progress are lost.",
    ),
    code(
        "W0404",
        "a node that nothing leads to",
        "No class of users enters by the node, no other node sends to it, and no step of the work names it. It serves no request, and what it runs on is on the bill.",
    ),
    code(
        "W0405",
        "a spike that is cut off",
        "The spike lasts beyond the end of the load: its rest, its fall and the recovery after it are not simulated.",
    ),
    code(
        "W0406",
        "a cap below the base",
        "No pause before a retry is longer than `cap`. Where `cap` is below `base`, every pause has the length of the cap, and `base` and `factor` change nothing.",
    ),
    code(
        "W0407",
        "a time without a unit",
        "A threshold on a latency has a bare number, which is read as k6 reads it: as milliseconds. Write the unit, as for all other times.",
    ),
    code(
        "W0408",
        "a processor limit above the host's",
        "A pod cannot use more vCPUs than its host has, so the limit never binds. A pod that asks Kubernetes for so many is never placed.",
    ),
    code(
        "W0409",
        "a load longer than the run",
        "A replication is stopped at run.horizon. What the load would have brought after it never comes, and is not in the figures nor in the cost.",
    ),
    code(
        "W0410",
        "a type whose vCPUs are not known",
        "The instance type or class is none of those whose sizes are known, and nothing says how many vCPUs it has: two are assumed.",
    ),
    code(
        "W0411",
        "another size than the type's",
        "The vCPUs, or the memory, that are said are not those of the instance type or class that is named. What is said is simulated, and what is named is on the bill. An RDS proxy is billed by the vCPUs of its database.",
    ),
    code(
        "W0412",
        "CPU credits that are not counted",
        "An instance of the T family earns CPU credits and spends them above its baseline. Where they are not counted, a host runs at full speed however long it is busy: in standard mode (T2) AWS would hold it to its baseline, in unlimited mode it would charge for what is borrowed. Pods count them with hosts.credits; other nodes do not, and are told only where their speed would be another.",
    ),
    code(
        "W0413",
        "a process that is never thawed",
        "A pod's process is stopped, and no later event lets it run on: it stands still to the end of the run, while its kernel goes on accepting connections. With a liveness probe the kubelet would start it again.",
    ),
    code(
        "W0414",
        "a pool that nobody sized",
        "Pods pool their connections to every store. Where the scenario does not say how, a database gets the defaults of its engine's usual driver, which stand among the assumptions. Other stores (a cache, DynamoDB) have no usual driver with a pool: at most 100 connections a pod are assumed, two of them being opened at a time, as MongoDB's drivers have them.",
    ),
    code(
        "W0415",
        "a threshold on a class that stays away",
        "A threshold on one class of users is judged in the designs that the class enters. This one enters none, so nothing is judged.",
    ),
    code(
        "W0416",
        "machines that start as fast as containers",
        "The default of an autoscaler's start is that of a container on a machine that runs. Elastic Beanstalk adds EC2 instances: each has to boot (23 to 26 s, as `nodes` has it), to install its platform and to deploy the application, before its checks begin.",
    ),
    code(
        "W0417",
        "threads without a connection",
        "A process takes fewer connections than it has threads: some of them never have a request.",
    ),
    code(
        "W0430",
        "pods that no host has room for",
        "The autoscaler may want more pods than the hosts have processors for, by what each pod asks for. As in Kubernetes, the others stay pending until one that runs goes. Without `nodes` no machine comes for them.",
    ),
    code(
        "W0431",
        "kinds of request mixed over services",
        "A load balancer sends every request to the next of all its targets. Where it leads to several services and gets several kinds of request, each service gets its part of every kind. Rules by path or host, which send each kind to its own service, are not in this node.",
    ),
    code(
        "W0432",
        "windows longer than a month",
        "A monthly figure takes the run as one window and adds up so many of them. Together they last longer than the 730 hours of a month, so no month could have them.",
    ),
    code(
        "W0440",
        "a setting of connections that are not kept",
        "Without `upstream_keepalive` nginx opens a connection to a server for every request. After how many requests, which time or which idle time it would close one that it keeps changes nothing then.",
    ),
    code(
        "W0441",
        "addresses that nobody asks for",
        "How many addresses or networks the users come from matters to ip_hash, and the addresses to a limit_req or limit_conn whose key is the client. Where there is none of these the number changes nothing.",
    ),
    code(
        "W0445",
        "requests in flight grow until the load ends",
        "In the second half of the time with a steady rate, more requests came than left, in 95 % confidence. Either the rate is beyond what the design can serve, and its queue met the thresholds only because the load ended in time; or the design had not settled yet. A longer load would be slower, and a search would find a lower rate. Make the load longer (`for`) until it no longer grows.",
    ),
    code(
        "W0460",
        "more connections than memory",
        "All connections together need more memory than the server has; a server that swaps is slower than the model says.",
    ),
    code(
        "W0461",
        "a pool larger than the server",
        "The pooler wants more connections than the server has slots: some logins will be refused, and it goes on with fewer.",
    ),
    code(
        "W0462",
        "pools larger than the database",
        "The pools of all pods together, at their largest, want more connections than the database has slots. It goes well until they fill; then logins are refused.",
    ),
];
