"""Everything that reading Istio's resources can find, in one place: our code, Istio's, how bad, and what to do.

Codes HM-1xx are about the networking kinds and Kubernetes' own, HM-2xx about the security kinds. `ERROR` means that
what says it is set aside, and the rest goes on.
"""

from __future__ import annotations

from handsel.model.finding import Known, Severity

_INFO, _LOW, _MEDIUM, _HIGH, _ERROR = Severity

# What is carried out in another way than Istio's, or not.
NOT_CARRIED_OUT = Known("HM-100", _HIGH, "Take the field out, or do not count on it.")
PLAIN = Known("HM-101", _MEDIUM, "Give its host a DestinationRule with tls, for this port.")
NAME_CHECKED = Known("HM-102", _MEDIUM, "Say subjectAltNames if the certificate carries another name.")
NOT_VERIFIED = Known("HM-103", _HIGH, "Name the CA in caCertificates, and take insecureSkipVerify out.", "IST0128")
RESOLVED_BY_DNS = Known("HM-104", _LOW, "Say resolution DNS, or STATIC with endpoints.")
SET_ASIDE = Known("HM-105", _ERROR, "Write it without what is not carried out.")
MEANS_NOTHING = Known("HM-106", _INFO, "Take it out.")
PORT_PROTOCOL = Known(
    "HM-107", _INFO, "Begin the port's name with its protocol, such as http-, or say appProtocol.", "IST0118"
)
BY_NAME_ONLY = Known("HM-108", _LOW, "Let programs call it by its name, or by its loopback port.", "IST0134")

UNKNOWN_ANNOTATION = Known("HM-109", _LOW, "Take it out, or do not count on it.", "IST0108")

CURVES_HONOURED = Known("HM-118", _INFO, "Take them out for handsel's own, the hybrid with ML-KEM first.")

# What refers to something that is not there.
UNKNOWN_HOST = Known(
    "HM-110", _ERROR, "Declare the host with a ServiceEntry or a Service, or correct its name.", "IST0101"
)
UNKNOWN_SUBSET = Known("HM-111", _ERROR, "Declare the subset in the host's DestinationRule.", "IST0101")
UNKNOWN_GATEWAY = Known("HM-112", _ERROR, "Declare the Gateway, or correct its name.", "IST0101")
UNKNOWN_SECRET = Known("HM-113", _HIGH, "Include the Secret, or correct its name.", "IST0101")
UNKNOWN_PORT = Known(
    "HM-114", _ERROR, "Take the port that programs use, not the one where endpoints listen.", "IST0101"
)
BAD_SECRET = Known("HM-115", _ERROR, "Make the Secret anew from the PEM files.", "IST0161")
INERT = Known("HM-116", _MEDIUM, "Declare the host with a ServiceEntry or a Service, or correct its name.", "IST0101")

NO_PORT = Known("HM-117", _MEDIUM, "Give a container of the workload a port of this name.")

# What conflicts.
SAME_HOST = Known("HM-120", _ERROR, "Write both into one VirtualService.", "IST0109")
MERGED = Known("HM-121", _LOW, "Write both into one DestinationRule.")
SAME_NAME = Known("HM-122", _ERROR, "Give one of them another name, or take it out.")
SAME_SIDECAR = Known("HM-123", _ERROR, "Keep one of them.", "IST0111")
SAME_PORT = Known("HM-124", _ERROR, "Give one of them another port or other hosts.", "IST0145")
OTHER_PROTOCOL = Known("HM-125", _ERROR, "Let all Services give this port one protocol.", "IST0116")
PORT_NEEDED = Known("HM-126", _ERROR, "Say destination.port.number.", "IST0112")
DOUBLE_TLS = Known("HM-127", _HIGH, "Say tls in portLevelSettings of the plain port only.")
SHARED_CERTIFICATE = Known("HM-128", _LOW, "Give each gateway a certificate of its own.", "IST0138")

TLS_AGAINST_MODE = Known("HM-129", _HIGH, "Take tls out, say ISTIO_MUTUAL, or let the workloads take it.", "IST0113")

# What does nothing, or less than it seems.
EMPTY_SUBSET = Known("HM-130", _MEDIUM, "Correct the labels of the subset, or start workloads with them.", "IST0173")
UNREACHABLE = Known("HM-131", _MEDIUM, "Put the rule before the one that takes everything.", "IST0130")
NOT_AT_GATEWAY = Known("HM-132", _MEDIUM, "Add the host to the Gateway's servers.", "IST0132")
NO_WORKLOAD = Known("HM-133", _MEDIUM, "Correct the labels, or start workloads with them.", "IST0127")
WRONG_PROTOCOL = Known("HM-134", _MEDIUM, "Take http rules for HTTP ports, tls and tcp rules for others.")
FEW_HOSTS = Known("HM-135", _LOW, "Raise maxEjectionPercent, since this part of so few endpoints is none.")

# Who may reach what.
PLAINTEXT_TOO = Known("HM-200", _MEDIUM, "Say STRICT as soon as `handsel mesh plaintext` shows nobody any more.")
NO_TLS = Known("HM-201", _HIGH, "Say PERMISSIVE, then STRICT, unless its callers can do nothing but plaintext.")
USUALLY_STRICT = Known("HM-202", _INFO, "Say PERMISSIVE in a PeerAuthentication where plaintext callers remain.")
IGNORED_SELECTOR = Known("HM-203", _HIGH, "Move it to the namespace of the workloads, or take the selector out.")
CUSTOM = Known("HM-204", _ERROR, "Say with ALLOW and DENY what the authorizer would, or let the program ask it.")
TARGETS = Known("HM-205", _ERROR, "Choose workloads by selector.")
NO_KEYS = Known("HM-206", _ERROR, "Say jwksUri, or jwks with the keys themselves.")
NO_SUCH_WORKLOAD = Known("HM-207", _MEDIUM, "Correct the labels, or start workloads with them.", "IST0127")
ALLOWS_NOTHING = Known("HM-208", _INFO, "Say `rules: [{}]` if everything is meant.")
NEVER_FITS = Known("HM-209", _MEDIUM, "Take the rule out, or correct it.")
UNKNOWN_IDENTITY = Known("HM-210", _MEDIUM, "Correct the name: an identity that nobody has fits nobody.")
HTTP_ON_TCP = Known("HM-211", _HIGH, "Declare the port's protocol as http, or say it by principals and addresses.")
CLOSED = Known("HM-212", _ERROR, "Say it by principals and addresses; the port lets nobody in until then.")
TOKENS_ON_TCP = Known("HM-213", _INFO, "Declare the port's protocol as http, if it is.")
LITERAL_STAR = Known("HM-214", _LOW, "Write the * at the start or at the end, or alone: elsewhere it is a plain star.")
KEYS_IN_PLAINTEXT = Known("HM-215", _HIGH, "Take https: who sits between could hand out keys of his own.")
