//! Every code a finding can carry, with the paragraph that `headroom explain CODE` prints.
//!
//! E00xx files and runs, E01xx text and syntax, E02xx shape (what the schema says), E03xx meaning; W04xx warnings are in `warnings.rs`.
//! A code is written in reports and scripts: it is never given a second meaning and never renumbered.

/// One code of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// E.g. `E0102`.
    pub code: &'static str,
    /// What is wrong, in a few words.
    pub title: &'static str,
    /// When it happens, why it is refused and what to do.
    pub explanation: &'static str,
}

pub(super) const fn code(
    code: &'static str,
    title: &'static str,
    explanation: &'static str,
) -> Code {
    Code { code, title, explanation }
}

/// What stops a scenario or a run, in order of code.
pub(super) const ERRORS: &[Code] = &[
    code(
        "E0001",
        "no such file",
        "The file that is named does not exist. Paths inside a scenario are relative to its folder.",
    ),
    code(
        "E0002",
        "a file that cannot be read",
        "The file exists but cannot be read: it is a folder, larger than 4 GiB, or access is denied.",
    ),
    code(
        "E0003",
        "a file that cannot be written",
        "The output folder cannot be made or written to. This is tried before a run begins.",
    ),
    code(
        "E0004",
        "the disk is full",
        "There was no room for an output file; none is left half-written.",
    ),
    code("E0005", "standard output is gone", "The result could not be written to standard output."),
    code(
        "E0006",
        "wrong usage of the command line",
        "A flag, a command or a value on the command line is not one that the program takes, or two exclude each other. `headroom help` lists the commands, and `headroom COMMAND --help` what each takes.",
    ),
    code(
        "E0010",
        "an internal error",
        "A law of conservation was broken, or a checked scenario could not be built: a bug of this program. No figure is shown, since none could be trusted.",
    ),
    code(
        "E0011",
        "interrupted",
        "The run was stopped before two replications of every design were done: too few for an interval.",
    ),
    code(
        "E0012",
        "not a result of this program",
        "A stored result has another schema_version than this program writes, or is not whole. Its figures may mean something \
         else, so they are not compared. Run its scenario again with this program.",
    ),
    code(
        "E0013",
        "nothing to compare",
        "The two results have no design in common, or one of them keeps no values per replication. Designs are compared by \
         name.",
    ),
    code(
        "E0014",
        "a question that cannot be asked",
        "What `find` was asked does not fit the scenario: no thresholds to stay within, a design that does not exist, or a \
         range that cannot be read.",
    ),
    code(
        "E0015",
        "a searched value makes no valid scenario",
        "A value that `find` tried makes a scenario with errors, mostly at an end of the range: no pods, or more memory than \
         there is. Give a range in which every value is valid.",
    ),
    code(
        "E0020",
        "a sweep that is there already",
        "The output folder holds the journal of a sweep. `--resume` goes on with it: what is finished is kept, and only the rest is run.",
    ),
    code(
        "E0021",
        "the journal of another sweep",
        "A journal is bound to the scenario with its files, the values, designs, seed, replications, prices and the version of the program. Results of two different sweeps are never mixed.",
    ),
    code(
        "E0022",
        "shards that overlap",
        "The same point stands in two journals. Shards of one sweep are cut with the same number of shards, and each is given once.",
    ),
    code(
        "E0023",
        "points of a sweep are missing",
        "A result is only made of all points. The message names the shards that are missing; a shard that was cut off is run again with `--resume`.",
    ),
    code(
        "E0024",
        "no journal of a sweep",
        "The folder holds no journal, or one whose first line was torn. A shard needs `--out DIR`, since its journal is what is merged.",
    ),
    code(
        "E0025",
        "not a shard",
        "A shard is `K/N` with K from 1 to N, or `auto`: index and count out of JOB_COMPLETION_INDEX (Kubernetes Indexed Job), AWS_BATCH_JOB_ARRAY_INDEX and AWS_BATCH_JOB_ARRAY_SIZE, or SLURM_ARRAY_TASK_ID, _MIN, _STEP and _COUNT. HEADROOM_SHARDS gives the count where the scheduler does not.",
    ),
    code(
        "E0101",
        "the file is not text",
        "A scenario is a text file in UTF-8. The file has bytes that UTF-8 does not allow: it is \
         a binary file (an archive, an image), or a text saved in another encoding such as UTF-16 \
         or Latin-1. Save it again as UTF-8.",
    ),
    code(
        "E0102",
        "the text is neither JSON nor YAML",
        "The reader stopped at the marked place: from there on the text has no meaning as JSON or \
         YAML. A text that begins with `{\"` is read as JSON, any other as YAML. Often a comma, a \
         quote or a closing bracket is missing just before the mark, or the file was cut off. \
         Only the first such place is reported, since what follows it cannot be trusted.",
    ),
    code(
        "E0103",
        "the text is too large",
        "A scenario may have 8 MiB of text. A longer one is nearly always another kind of file.",
    ),
    code(
        "E0104",
        "too many levels inside each other",
        "Lists and maps may stand 64 deep inside each other. No scenario needs more.",
    ),
    code(
        "E0105",
        "too many values",
        "A scenario may have 1,000,000 values and 64 MiB of text after its YAML aliases are \
         replaced by what they stand for. A short file can hold aliases of aliases that grow \
         past any memory; this limit stops them.",
    ),
    code(
        "E0106",
        "the file is empty",
        "There is nothing but white space or comments in the file. Start from an example scenario.",
    ),
    code(
        "E0107",
        "more than one YAML document",
        "A scenario file holds one document; `---` began a second one. Put it in a file of its own.",
    ),
    code(
        "E0108",
        "a feature of YAML that scenarios do not use",
        "Tags (`!name`) and keys that are lists or maps are refused, because \
         they have no counterpart in JSON, and both forms must mean the same. Write the value out; \
         anchors, aliases (`&a`, `*a`) and merge keys (`<<: *a`) are allowed.",
    ),
    code(
        "E0109",
        "a key is written twice",
        "The same key stands twice in one map, and which of the two counts would be a guess. \
         Remove one of them.",
    ),
    code(
        "E0110",
        "a number that is not finite",
        "Infinity, not-a-number and numbers past 1.8e308 cannot be computed with. Where a limit \
         should not bind, leave it out or write a large number.",
    ),
    code(
        "E0111",
        "an alias inside its own anchor",
        "`*a` stands inside the value that `&a` names, so the value would contain itself.",
    ),
    code(
        "E0112",
        "a merge key without a map",
        "`<<` brings the entries of another map, or of each map of a list: `<<: *name` or `<<: [*one, *other]`. What the map says itself goes before them. In quotes, `\"<<\"` is a key like any other.",
    ),
    code(
        "E0201",
        "unknown key",
        "The key has no meaning at this place. Unknown keys are errors, since a misspelt key that \
         is passed over leaves a default in force that nobody chose. `headroom explain PATH` lists \
         what is allowed.",
    ),
    code(
        "E0202",
        "unknown kind",
        "At this place stands one of several kinds, named by the one key of a map: \
         `{\"lambda\": {…}}`. The key is none of the known kinds.",
    ),
    code(
        "E0203",
        "more than one kind",
        "At this place stands exactly one kind, as a map with one key. The map has several keys; \
         keep one. Settings of the kind belong inside it: `{\"lambda\": {\"memory\": \"1GB\"}}`.",
    ),
    code(
        "E0204",
        "no kind given",
        "At this place stands one of several kinds, named by the one key of a map, but the map is \
         empty.",
    ),
    code(
        "E0205",
        "a required key is missing",
        "The map lacks a key that has no default, because any default would be a guess about your \
         system.",
    ),
    code(
        "E0206",
        "the wrong sort of value",
        "The value is of another sort than this place takes: a text for a number, a list for a \
         map and so on. In YAML a key with nothing after it is unfinished: write the value, or \
         `null` for a key that is to count as not written.",
    ),
    code(
        "E0207",
        "a number out of range",
        "The number lies outside of what this place allows. `headroom explain PATH` shows the \
         range and where it comes from.",
    ),
    code("E0208", "not a whole number", "Only whole numbers make sense here: things are counted."),
    code(
        "E0209",
        "not one of the choices",
        "Only certain words are allowed at this place, and the text is none of them.",
    ),
    code(
        "E0210",
        "a quantity that cannot be read",
        "Times, amounts of memory and rates are texts with a number and a unit: `150ms`, `1m30s`, \
         `512MB` (powers of 1024), `20/s`. The text is none of the accepted forms.",
    ),
    code(
        "E0211",
        "a unit is missing",
        "A bare number stands where a time, an amount of memory or a rate is wanted. Whether 30 \
         means seconds or milliseconds would be a guess, so the unit is part of the value.",
    ),
    code(
        "E0214",
        "the value fits none of the forms",
        "The place takes a value in one of several forms, and this value has none of them.",
    ),
    code(
        "E0215",
        "a kind written in the wrong form",
        "Kinds with settings are maps with one key, `{\"lambda\": {…}}`, even if no setting is \
         given: `{\"none\": {}}`. Kinds without settings are plain words.",
    ),
    code(
        "E0216",
        "no such path",
        "The path leads to nothing that a scenario can have. User-chosen names may be written as \
         `*`; a kind is a step of the path: `designs.*.nodes.*.lambda.memory`.",
    ),
    code(
        "E0217",
        "an assumed path that the scenario does not have",
        "The scenario's own `assumed` map names a place that is not in the resolved scenario, so \
         the note would stand beside nothing.",
    ),
    code(
        "E0230",
        "a varied value without a path",
        "An axis is written `PATH=VALUES`, for example `workload.*.load.closed.users=100..2000:100` or \
         `designs.*.nodes.api.pods.replicas=3,6,12`. `*` stands for every name at its place; a name with a dot or a \
         bracket in it stands in `[\"…\"]`.",
    ),
    code(
        "E0231",
        "values that cannot be read",
        "Values are a list with commas, `3,6,12` or `128MB,256MB`; a range with a step, `100..2000:100`, both ends \
         included; a range at equal ratios, `100..10000:log7`; `true,false`; or JSON. Each value is given once.",
    ),
    code(
        "E0232",
        "too many points, or an axis given twice",
        "Every combination of the values of all axes is one point. There may be 100,000 points, and each path may be \
         varied once.",
    ),
    code(
        "E0233",
        "a varied path that leads nowhere",
        "No place of the scenario fits the path. A key that the schema knows may be missing in the scenario: it is \
         added. Names of classes, designs and nodes must be there. `headroom explain PATH` lists what is allowed.",
    ),
    code(
        "E0234",
        "no design of that name",
        "`--design` chooses designs of the scenario by their names. The message lists them.",
    ),
    code(
        "E0299",
        "a value that its type refuses",
        "The scenario has the right shape, but one of its values is refused on closer reading. \
         The message says which and why.",
    ),
    code(
        "E0300",
        "a name that is not defined",
        "A class, a kind of request or another name is used that the scenario does not define. Names are compared letter by letter.",
    ),
    code(
        "E0301",
        "there is no such node",
        "A node is named that this design does not have. Every design must have the stores and services that its work names.",
    ),
    code(
        "E0302",
        "there is no such account",
        "A function or an API gateway names an AWS account that the design does not list under `accounts`, or the design has several and a gateway without a function behind it names none.",
    ),
    code(
        "E0303",
        "a node of the wrong kind",
        "Not every kind may stand behind every other: users do not connect to a store, a NodePort leads to pods, a gateway leads to a function or a load balancer.",
    ),
    code(
        "E0304",
        "a name that cannot be used",
        "Names become parts of paths and columns of tables: 1 to 60 characters without . [ ] *, line breaks, control characters and marks that turn the direction of writing: what is read must be what is meant.",
    ),
    code(
        "E0305",
        "a circle",
        "Nodes or calls lead back to where they came from: a request would never end.",
    ),
    code(
        "E0306",
        "nothing chooses among the pods",
        "Users enter a service of several pods directly. Put a node_port, dns, alb or nginx in front, which chooses a pod for every connection or request.",
    ),
    code(
        "E0307",
        "a distribution that cannot be drawn from",
        "The parameters of a distribution contradict one another, or the file with its values does not hold them.",
    ),
    code(
        "E0308",
        "no design",
        "A scenario compares designs: it needs at least one under `designs`.",
    ),
    code(
        "E0309",
        "a threshold that is not understood",
        "Thresholds are written as in k6: `p(95)<500ms`, `rate>0.999`, `value<0.002`, on the metrics success_rate, latency, latency_all, throughput, cost_per_user, cost_per_user_monthly, cost_per_request and cost_total. The first four may speak of one class of users: `latency{class:web}`.",
    ),
    code(
        "E0310",
        "a database without connections",
        "All connection slots are reserved for administrators.",
    ),
    code(
        "E0311",
        "a timeout that the gateway does not offer",
        "API Gateway gives up after 50 ms to 30 s (HTTP API) or 50 ms to 29 s (REST API; up to 300 s from 2024-06).",
    ),
    code(
        "E0312",
        "a memory size that the era does not offer",
        "Lambda offered 128 to 3,008 MB in steps of 64 MB until 2020 and offers up to 10,240 MB in steps of 1 MB since December 2020.",
    ),
    code(
        "E0313",
        "a function timeout that Lambda does not offer",
        "A function runs for at least 1 s and at most 900 s (15 minutes) before Lambda ends it.",
    ),
    code(
        "E0314",
        "too much reserved",
        "100 of an account's concurrent executions must stay unreserved.",
    ),
    code(
        "E0315",
        "no upstream server",
        "A proxy or balancer that leads to no server answers nobody.",
    ),
    code(
        "E0316",
        "too few descriptors",
        "An idle nginx worker holds about ten descriptors, and a proxied request takes two more.",
    ),
    code(
        "E0317",
        "too few connections",
        "worker_connections counts both sides of a proxied request and the listening sockets.",
    ),
    code("E0318", "a name without an address", "A DNS name must lead to at least one node."),
    code(
        "E0319",
        "a share of connections that cannot be",
        "The fullest of n workers accepts at least 1 / n of the connections; with reuseport the kernel spreads them evenly.",
    ),
    code(
        "E0320",
        "no price",
        "A price that the bill needs is not in the table. An unknown price is an error, never $0: add it to a table and give that with --prices, or take the item off the bill.",
    ),
    code(
        "E0321",
        "what the users send is not clear",
        "A class sends either one kind of `request` or a `session` of several.",
    ),
    code("E0322", "no patience at all", "A timeout of zero lets no request through."),
    code(
        "E0323",
        "too many requests",
        "A replication may have about 2,000,000,000 requests; `headroom plan` estimates what a scenario takes.",
    ),
    code(
        "E0324",
        "users who never stop",
        "Closed users need an end: `for`, `requests_per_user` or both.",
    ),
    code(
        "E0325",
        "a trace that cannot be read",
        "The trace file is missing, or lacks the column, or holds a value that is no time or count.",
    ),
    code("E0326", "nobody enters", "A design needs at least one class of users under `enter`."),
    code(
        "E0327",
        "too many entries",
        "Work, workload, designs and the nodes of a design may have 1,000 entries each.",
    ),
    code(
        "E0328",
        "a file that cannot be read",
        "The scenario names a CSV file that is missing or is no CSV.",
    ),
    code(
        "E0330",
        "a feature that the era does not have",
        "Eras are dated presets of the platform's rules, and what came later does not exist in them: provisioned concurrency from December 2019, container images and arm64 from 2020 and 2021, SnapStart from November 2022 (Python and .NET from November 2024), several requests per environment from December 2025, settings of asynchronous invocation from December 2019, a maximum concurrency of pollers from 2023, provisioned pollers from December 2025.",
    ),
    code(
        "E0331",
        "a start-up time that nobody measured",
        "Init and restore times come from a table of measurements by runtime, package and processor. This combination is not in it, so the scenario has to give the time itself.",
    ),
    code(
        "E0332",
        "settings that exclude one another",
        "Lambda refuses the combination: more provisioned than reserved concurrency, SnapStart together with provisioned concurrency, settings for several requests per environment on a function that takes one.",
    ),
    code(
        "E0333",
        "a size that Lambda does not offer",
        "/tmp has 512 to 10,240 MB. A zip package has at most 250 MB, a container image 10 GB.",
    ),
    code(
        "E0340",
        "a visibility timeout below the function's timeout",
        "A message would be visible again while its function may still work on it: AWS refuses the event source mapping. AWS advises six times the function's timeout plus the batching window.",
    ),
    code(
        "E0341",
        "a large batch without a window",
        "Batches of more than 10 messages need a batching window of at least one second.",
    ),
    code(
        "E0343",
        "a time that the service does not offer",
        "Visibility timeout, retention, batching window and event age have bounds, which the message names.",
    ),
    code(
        "E0344",
        "pollers that contradict one another",
        "Provisioned pollers exclude a maximum concurrency, and their minimum may not be above their maximum.",
    ),
    code(
        "E0345",
        "a payload that is refused",
        "Queues, functions and front doors take payloads up to a size; every request of this scenario would be refused.",
    ),
    code(
        "E0346",
        "a throttle that this API cannot have",
        "Usage plans, their quotas and throttles of stages and methods belong to REST APIs; an HTTP API has the account's bucket only. A quota needs a period.",
    ),
    code(
        "E0360",
        "connection slots not known",
        "A database needs its number of connection slots: given, or by the formula of its engine from its memory or class.",
    ),
    code(
        "E0361",
        "a field of another engine",
        "The field describes what only one database engine does.",
    ),
    code(
        "E0362",
        "a service that the era does not offer",
        "RDS Proxy is offered since 2020: choose a later era, or run PgBouncer yourself.",
    ),
    code(
        "E0363",
        "a borrow timeout that RDS Proxy does not offer",
        "ConnectionBorrowTimeout of RDS Proxy is 0 s to 300 s; the default is 120 s.",
    ),
    code(
        "E0364",
        "an item that DynamoDB does not store",
        "An item of a DynamoDB table has at most 400 KB.",
    ),
    code(
        "E0365",
        "a share that is none",
        "A hit ratio lies between 0 and 1: 0.9 for nine hits in ten.",
    ),
    code(
        "E0366",
        "resolver caches that contradict one another",
        "A name has either a number of resolver caches that are alike or weights of caches, at least one of them above 0.",
    ),
    code(
        "E0367",
        "no such address",
        "An event names an address that the node does not have: cluster nodes of a NodePort and pods of a service are numbered from 0.",
    ),
    code(
        "E0369",
        "more capacity than the table's quota",
        "DynamoDB provisions at most 40,000 read and 40,000 write units a second for a table, unless AWS has raised the quota.",
    ),
    code(
        "E0370",
        "not a measured case",
        "A file in the folder of measured cases has `config` and `observed` but not the form that docs/measuring.md describes.",
    ),
    code(
        "E0371",
        "a measured case without a counterpart",
        "The configuration of a measured case has something that no node of a scenario expresses; the message names it.",
    ),
    code(
        "E0373",
        "no such pod",
        "The pods of a node are numbered from 0 to one less than its replicas.",
    ),
    code(
        "E0374",
        "not a log of Lambda requests",
        "A run*.csv in a folder of measured cases is not a log: its header lacks a column, or a line is not as docs/lambda-log.md describes. The message names the line.",
    ),
    code(
        "E0376",
        "an event that cannot happen",
        "The kind of node that an event names knows no such event.",
    ),
    code(
        "E0377",
        "a node that cannot be on this machine",
        "Machines are for processes on one host: pods without `hosts` of their own, nginx, HAProxy, PgBouncer and \
         databases. A node is on one machine at most.",
    ),
    code(
        "E0378",
        "no such case",
        "`verify` was asked for cases, by the beginning of their names or by kind, and there is none. Without a case nothing is verified, which is no success.",
    ),
    code(
        "E0380",
        "an autoscaler that Kubernetes would refuse",
        "The specification of a HorizontalPodAutoscaler, or a conformance case around it, contradicts itself: more minReplicas than maxReplicas, a metric whose details do not fit its type, no target or several, an empty list of policies. The API server refuses it, and so does this program.",
    ),
    code(
        "E0381",
        "an autoscaler that cannot work",
        "The autoscaler of a service has no policy or several, bounds that leave the present number out, a metric that the simulation does not measure, or a period below a second.",
    ),
    code(
        "E0382",
        "a probe that Kubernetes would refuse",
        "A probe has a period below a second or a timeout below a millisecond, or a startup or liveness probe asks for more than one pass in a row.",
    ),
    code(
        "E0383",
        "nothing to replace pods by",
        "An event rolls out or moves pods of a node without a `lifecycle`: such pods are there from the beginning to the end.",
    ),
    code(
        "E0384",
        "a balancer that AWS would refuse",
        "A balancer with a target group checks its targets itself. They must be pods, and intervals and timeouts must lie within those that AWS takes. A network balancer needs a target, and an idle timeout of 60 to 6,000 s.",
    ),
    code(
        "E0385",
        "a route to nowhere",
        "A router has no route that fits all requests, weights that add up to nothing or shifts out of order, or it sends to pods without a balancer in front of them.",
    ),
    code(
        "E0386",
        "credits of an instance that has none",
        "Only instance types of the T family live on CPU credits.",
    ),
    code(
        "E0390",
        "a guard that contradicts itself",
        "A queue without a limit, a wait, a window or a timeout of nothing, or a limit that does not begin between its bounds.",
    ),
    code(
        "E0391",
        "HTTP/2 that nobody speaks",
        "HTTP/2 takes TLS, kept connections, and an entry that speaks it to its clients: nginx, HAProxy, an ALB, an API Gateway or a function URL, or a name or network balancer in front of such. Pods (Node.js' http server among others), functions, guards and routers speak HTTP/1.1.",
    ),
    code(
        "E0392",
        "a load that never comes",
        "The load lasts no time, or its spike begins when the load is over. No run could show what was meant.",
    ),
    code(
        "E0393",
        "a threshold that decides nothing",
        "No figure could ever miss it, or none could ever meet it: a share lies between 0 and 1 (0.99 for 99 %), and no time, cost or throughput is below 0.",
    ),
    code(
        "E0394",
        "a fixed cost that hangs on use",
        "What a design costs whatever its load (`fixed`) is paid by the hour. An item of the price table that is paid by the request or the GB has no amount before something uses it.",
    ),
    code(
        "E0395",
        "one name for two things",
        "A fixed cost of a design has the name of one of its nodes, and the lines of its bill would not tell them apart.",
    ),
    code(
        "E0396",
        "a pool that contradicts itself",
        "More idle connections are to be opened ahead than the pool may have or keep, or connections are to be kept in mode `direct`, which closes each after its statement.",
    ),
    code(
        "E0397",
        "a server line that nginx would refuse",
        "Parameters are given for a node that is no upstream server, all servers are backups (\"no servers in upstream\"), or there are backups where the balancing method takes none: ip_hash and random (\"balancing method does not support parameter\").",
    ),
    code(
        "E0398",
        "a limit of requests that contradicts itself",
        "`delay` says how many requests of the burst pass at once, `nodelay` that all of them do. nginx takes one of the two beside `burst` (\"invalid number of arguments\").",
    ),
    code(
        "E0399",
        "the price of something else",
        "The class of a database or cache is an item of the price table, and this item prices something else: a bare host, another engine, another service. The bill would be wrong. A server that you run yourself on a host is priced by an item of your own (prices/README.md), whose name begins with none of the table's families.",
    ),
    code(
        "E0400",
        "proxy_next_upstream contradicts itself",
        "`next_upstream` true or false is nginx's `proxy_next_upstream error timeout` or `off`. Where the parameters are listed in `proxy_next_upstream`, they hold alone: a list cannot stand beside `off`, and an empty one says nothing.",
    ),
    code(
        "E0401",
        "a directive that this nginx does not have",
        "`keepalive_time`, toward clients and toward servers, came with nginx 1.19.10. Under the rules of 1.18 a connection is kept whatever its age.",
    ),
    code(
        "E0410",
        "a pod that Fargate has not",
        "Fargate provides pods in fixed combinations of vCPU and memory (Amazon EKS user guide, Understand Fargate Pod configuration details). On EKS the memory that a pod asks for is raised by 256 MB for Kubernetes' components and rounded up to the next combination: that is the one to give.",
    ),
    code(
        "E0411",
        "Fargate beside hosts",
        "A pod on Fargate runs alone on processors and memory of its own, which come and go with it. Hosts, their instance type, their credits and machines of an autoscaler are of pods that are not on Fargate.",
    ),
    code(
        "E0420",
        "an order of what waits in the kernel",
        "Sync workers have no waiting line of their own: a connection waits in the kernel's accept queue, which is first in, first out. `queue_discipline` is for event loops and threads.",
    ),
    code(
        "E0421",
        "two ways to share connections among workers",
        "`accept_mutex` lets one worker at a time accept, and `accept_share` says how many of the connections the first one gets.",
    ),
];
