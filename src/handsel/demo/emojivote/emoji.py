"""The service emoji: knows all emojis there are to vote for."""

from __future__ import annotations

import grpc

from handsel.demo.emojivote import emojivote_pb2 as pb
from handsel.demo.emojivote import rpc

_TABLE = """
👻 ghost        🍩 doughnut     🚀 rocket       🎉 tada         🦄 unicorn      🍕 pizza        🌈 rainbow
🐙 octopus      🌮 taco         🦊 fox          💃 dancer       🐧 penguin      🍉 watermelon   🎸 guitar
🐢 turtle       🔥 fire         🌵 cactus       🐝 bee          🧀 cheese       🎈 balloon      👾 invader
🦉 owl          🥑 avocado      🐳 whale        🍄 mushroom     🌍 earth        🎷 saxophone    🐼 panda
🍓 strawberry   🚲 bicycle      🤖 robot        🐌 snail        🍣 sushi        🌻 sunflower    🎲 dice
🦋 butterfly    🍦 ice_cream    🐸 frog         💎 gem          🥐 croissant    🎺 trumpet      🐻 bear
⚓ anchor       🍍 pineapple    🐬 dolphin      🌙 moon         🎨 palette      🥕 carrot       🐨 koala
🚂 locomotive   🍪 cookie       🦁 lion         🎃 pumpkin      🍒 cherries     🐘 elephant     🔔 bell
🥝 kiwi         🚁 helicopter   🐞 ladybird     🌴 palm         🎹 piano        🍔 hamburger    🦆 duck
⛵ sailboat     🍋 lemon        🐴 horse        💡 bulb         🥞 pancakes     🎻 violin       🐯 tiger
🍇 grapes       🚜 tractor      🦇 bat          🌊 wave         🍯 honey        🐠 fish         🎯 target
🥥 coconut      🛸 saucer       🐰 rabbit       ⭐ star         🍿 popcorn      🦀 crab         🎪 circus
🍎 apple        🚒 fire_engine  🐷 pig          🌷 tulip        🥨 pretzel      🦕 dinosaur     🎳 bowling
🍌 banana       🛶 canoe        🐊 crocodile    🍀 clover       🍭 lollipop     🦈 shark        🎠 carousel
☕ coffee
"""
_WORDS = _TABLE.split()
_EMOJIS = {
    f":{name}:": pb.Emoji(shortcode=f":{name}:", unicode=unicode)
    for unicode, name in zip(_WORDS[::2], _WORDS[1::2], strict=True)
}


def list_all(_question: pb.ListAllRequest, _context: grpc.ServicerContext) -> pb.ListAllResponse:
    return pb.ListAllResponse(emojis=_EMOJIS.values())


def find(question: pb.FindByShortcodeRequest, context: grpc.ServicerContext) -> pb.FindByShortcodeResponse:
    emoji = _EMOJIS.get(question.shortcode)
    if emoji is None:
        context.abort(grpc.StatusCode.NOT_FOUND, "there is no emoji with this shortcode")
    return pb.FindByShortcodeResponse(emoji=emoji)


if __name__ == "__main__":
    rpc.serve({rpc.LIST_ALL: list_all, rpc.FIND: find})
