"""emojivote: people vote for emojis. Four plain programs that know nothing of TLS; `handsel.yaml` gives it to them.

vote-bot ── HTTP ──► web ── gRPC ──► emoji
                         └─ gRPC ──► voting
"""
