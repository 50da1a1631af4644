"""Whether a message leans on what was said before it: "and in winter?", 它怎么关？

By the form of its words alone, in English and Chinese; there is no model. A message that names its
own subject leans on nothing, however short it is. What is done with one that leans is the business
of conversation.py.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from flywheel.search.terms import has_han

MAX_CHARACTERS = 300
"""Whoever writes more says what it is about."""

_FEW = 2


def leans(message: str) -> bool:
    """Whether a message asks for something that it does not name itself."""
    text = " ".join(message.split())
    if len(text) > MAX_CHARACTERS or not any(map(str.isalnum, text)):
        return False
    return _leans_in_chinese(text) if has_han(text) else _leans_in_english(text.lower())


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# English: where a subject is left out, there is a pronoun, or a fragment of a sentence.

_OPENING = re.compile(
    r"(?:(?:ok|okay|thanks?|thank you|hi|hello|hey|great|good|well|so|please|again|next|by the way"
    r"|oh|ah|right|fine|perfect|sorry|yes|no|also|then|and|or|now|tell me|can you tell me"
    r"|could you tell me|do you know|i see|got it)\b[\s,.!:;–-]*)+"
)
"""What may stand before a question and says nothing of what it is about."""
_LEANING_OPENING = re.compile(
    r"but\b|no,? (?:i mean|the)\b|not the\b|i (?:mean|meant)\b|what else\b|same for\b|likewise\b"
)
_ABOUT = re.compile(r"(?:what|how) about\b(?P<topic>[^,]*),?(?P<clause>.*)")
_JOINED = re.compile(r"(?:and|or)\b")

_AUXILIARIES = (
    "is|are|was|were|be|been|do|does|did|can|could|may|might|must|should|shall|will|would|has|have"
    "|had|isn't|aren't|doesn't|don't|didn't|can't|won't|what's|where's|how's|who's|it's"
)
_PREPOSITIONS = "in|on|at|for|with|without|from|to|by|after|before|during|when|while|if|under|over"
_VERBS = (
    f"{_AUXILIARIES}|work|works|take|takes|mean|means|happen|happens|cost|costs|help|helps|apply"
    "|applies|count|counts|go|goes|last|lasts|come|comes|need|needs|stay|stays|switch|stop"
)
_MODALS = "do|does|did|can|could|will|would|may|might|should|must"
_FOLLOWERS = (
    rf"(?: (?:{_VERBS}|{_PREPOSITIONS}|also|too|again|then|still|now|or|and|as|instead"
    r"|\w{3,}ed|normal|true|right|wrong|ok|okay|dangerous|safe|bad|possible|free|enough)\b"
    r"| ?[,.;:?!]| ?$)"
)
"""What stands behind a pronoun and not behind the article of a noun: *that* is, *that* lamp."""

_HAS_VERB = re.compile(
    rf"\b(?:{_AUXILIARIES}|i'm|explain|show|describe|list|give|want|need|happens|works?|means?)\b"
)
_ASKS = re.compile(r"(?:(?:at|for|from|to|in|on|with|by) )?(?:what|which|how|why|when|where|who)\b")
_FRAGMENT = re.compile(rf"(?:{_PREPOSITIONS}|the|a|an|my)\b")
_UNSAID_NOUN = re.compile(rf"(?:for )?how (?:many|much)(?: more)? (?:{_AUXILIARIES}|fits?|go)\b")

_POSSESSIVE = "its|their"
_PRONOUN = re.compile(
    rf"\b(?:{_POSSESSIVE}|it|it's|they|them|he|she|him|his)\b"
    rf"|\b(?:that|this|those|these)(?={_FOLLOWERS})|\b(?:that|this)'s\b"
    r"|\b(?:is|was) (?:that|this)(?= an?\b)"
    rf"|\b(?:{_MODALS}) (?:that|this|those|these)(?= \w+ (?:the|my|your|a|an|any|anything|me|us)\b)"
    rf"|\b(?:the|an?|another|other|new|old|which|\w+'s?) (?:\w+ ){{0,2}}ones?\b(?={_FOLLOWERS})"
    r"|\b(?:in|up|down|from|over|under) there\b|(?<!is )(?<!are )\bthere(?= ?[?.!]| ?$)"
    r"|\bthe (?:same|other|former|latter)(?= ?[?.!]| ?$)"
)
_DEMONSTRATIVE = re.compile(
    r"\b(?:this|that|these|those) (?!car|vehicle|manual|document|company|office|building|shop)(\w+)"
)
_EXPLETIVE = re.compile(
    r"\bit(?:'s| is| was)? (?:not |still |also |really |ever |even )?"
    r"(?:ok|okay|fine|alright|all right|safe|possible|allowed|permitted|forbidden|normal|legal"
    r"|illegal|dangerous|bad|better|best|worth|necessary|required|true|hard|difficult|easy"
    r"|important|harmful|enough|recommended|advisable)(?= (?:to|that|for|if|when)\b)"
    r"|\bit (?:is |was )?(?:raining|snowing|freezing|cold|hot|dark|wet)\b"
    r"|\b(?:does|did|will|would) it (?:take|cost|matter|hurt|make sense|rain|snow)\b(?! ?[?.!]?$)"
    r"|\bit (?:takes?|costs?|matters?|rains?|snows?|freezes)\b"
)
"""An *it* that stands for nothing."""
_BOUNDARY = re.compile(
    r"[,.;:?!]\s|\b(?:and|but|or|if|when|while|because|since|so|although|though|after|before|until"
    r"|unless|that|which|who|where|whether)\b"
)
_ECHO = re.compile(
    r"\b(?:then|afterwards?|too|as well|again|meanwhile|instead|otherwise|anyway|either|after that"
    r"|before that|in that case)(?= ?[?.!]| ?$)"
)
"""What points back, and may also end a question that stands alone."""

_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?|\d+")
_NO_SUBJECT = frozenset(f"{_AUXILIARIES}|{_PREPOSITIONS}|{_VERBS}".split("|")) | _words(
    """
    what which how why when where who whom whose much many often long far fast soon big high deep
    heavy large old late early exactly else more less longer i me my you your we us our the a an of
    and or but not no it its they them their this that these those there then so as too also again
    only just really still ever even any some all both either well please thanks get got use used
    using turn off out up down set put make done doing going change changed see find look drive try
    about into than per s kind type sort way time times distance price fee speed size colour color
    number amount reason difference problem place position step steps limit maximum minimum most
    least meanwhile afterwards afterward instead otherwise one ones thing things something anything
    same other explain show describe list give want know sure detail details first second third next
    previous myself yourself
    """
)
"""Words that do not tell what a question is about."""


def _leans_in_english(text: str) -> bool:
    opening = _OPENING.match(text)
    bare = text[opening.end() :] if opening else text
    if not _WORD.search(bare):
        return _JOINED.match(text) is not None
    if _LEANING_OPENING.match(text) or _LEANING_OPENING.match(bare):
        return True
    if about := _ABOUT.match(bare):
        return not (_subjects(about["topic"]) and _HAS_VERB.search(about["clause"]))
    subjects = _subjects(bare)
    if not subjects or subjects == _DEMONSTRATIVE.findall(bare) or _points_back(bare):
        return True
    if not _HAS_VERB.search(bare):
        return _is_fragment(text, bare, subjects)
    return _UNSAID_NOUN.match(bare) is not None and len(subjects) < _FEW


def _is_fragment(text: str, bare: str, subjects: Sequence[str]) -> bool:
    """Whether words without a verb are the rest of a question, and no heading of their own."""
    if len(_WORD.findall(bare)) <= _FEW or _JOINED.match(text) or _ECHO.search(bare):
        return True
    return len(subjects) < _FEW if _ASKS.match(bare) else _FRAGMENT.match(bare) is not None


def _points_back(text: str) -> bool:
    """Whether a pronoun has nothing in its own message that it could stand for."""
    plain = _EXPLETIVE.sub("", text)
    if any(not _is_told_before(plain, found) for found in _PRONOUN.finditer(plain)):
        return True
    echo = _ECHO.search(plain)
    return bool(echo and len(_subjects(plain)) <= _FEW and not _is_told_before(plain, echo))


def _is_told_before(text: str, pronoun: re.Match[str]) -> bool:
    """Whether an earlier clause names something; for *its*, an earlier word of the same clause."""
    before = text[: pronoun.start()]
    if pronoun[0] in _POSSESSIVE.split("|"):
        return bool(_subjects(before))
    boundaries = [each.start() for each in _BOUNDARY.finditer(before)]
    return bool(boundaries and _subjects(before[: boundaries[-1]]))


def _subjects(text: str) -> list[str]:
    """The words that could be what a question is about."""
    return [word for word in _WORD.findall(text) if word not in _NO_SUBJECT]


# Chinese: where a subject is left out, nothing stands, so that the kinds of words have to tell.

_OPENING_ZH = re.compile(
    "(?:谢谢您?|多谢|好的?|嗯|哦|请问一?下?|您好|你好|那么?|还有|另外|对了|其实|然后|再问一?下?|我?想知道"
    "|我?想问一?下?|换个问题|啊|呀|[，,。.！!、\\s])+"
)
_LEANING_OPENING_ZH = re.compile("但是?|可是|不过|我[问说指]的是|我是[问说指]|不是|[如要]果?不")
_ENDING_ZH = re.compile("[?？。.!！\\s]+$")
_ASKS_ZH = re.compile(
    "什么|怎么|怎样|如何|哪|谁|几|多[少久长大高重远深]|是否|[能会要]不[能会要]|可不可以|吗"
)
_POINTS_BACK_ZH = re.compile(
    "(?<!其)[它他她]们?|(?<![尤极])其(?![他它实中余次])|前者|后者|上述|同样|这[么样时里]|那[样时里]|这种情况"
    "|[这那]个?(?=[在会能可要是有怎为什多行也还吗呢]|用?来|需要|影响)"
)
_HEADLESS_ZH = re.compile("的(?=怎么|怎样|如何|多少|多久|多长|要多|能|$)")
"""An 的 without what is described: 后排的怎么放倒."""
_CLAUSE_ZH = re.compile("[，,。；;？?！!：:]")
_NAMES_ZH = re.compile("n|j|s|eng")
"""Tags of nouns, abbreviations, places and Latin words."""
_PARTICLES_ZH = "啊呀吧嘛哦哈啦"
_GENERIC_ZH = _words(
    """
    位置 时间 多长时间 时候 东西 地方 问题 方法 办法 情况 意思 原因 条件 步骤 多少钱 钱 限额
    上限 下限 期限 速度 距离 大小 长度 高度 重量 颜色 型号 规格 种类 类型 区别 作用 要求 价格
    费用 次数 数量 人 最大 最小 最长 最高 最多 最少 最快 内容 结果 好处 坏处 影响 提醒 后面 前面
    里面 外面 上面 下面 以后 之后 以前 之前
    """
)
"""Nouns that ask for something of a subject, and are none."""
_PLAIN_VERBS_ZH = _words(
    """
    没用 免费 打开 关闭 关掉 关上 设置 设定 调节 调整 更换 更改 修改 取消 恢复 继续 使用 保持
    超过 连续 通过 需要 可以 开始 停止 结束 知道 注意 办理 处理 解决 选择 查看 查询 检查 安装
    拆下 取下 装上 增加 减少 提前 推荐 建议 允许 影响 没有 不能 不会 不行 不到 出来 起来 下来
    看到 找到 做到 收到 变成 发生 出现 试试 想要 只想 适用 应该 必须 能够
    """
)
"""What can be done with any subject."""


def _leans_in_chinese(text: str) -> bool:
    opening = _OPENING_ZH.match(text)
    bare = _ENDING_ZH.sub("", text[opening.end() :] if opening else text)
    if not bare:
        return False
    if _LEANING_OPENING_ZH.match(bare):
        return True
    clauses = _CLAUSE_ZH.split(bare)
    if clauses[-1].endswith("呢") and not _ASKS_ZH.search(bare):
        return True
    if found := _POINTS_BACK_ZH.search(bare):
        return not any(map(_names_something, _CLAUSE_ZH.split(bare[: found.start()])[:-1]))
    if len(clauses) == 1 and _HEADLESS_ZH.search(bare) and "是" not in bare:
        return True
    return not _names_something(bare)


def _names_something(text: str) -> bool:
    """Whether there is a word that could be what a question is about."""
    import rjieba  # reads its dictionary, which nobody needs who asks in English

    # Half a character of a broken encoding is no word, and the tagger takes none.
    whole = text.encode("utf-8", "ignore").decode()
    return any(_is_subject(word, kind) for word, kind in rjieba.tag(whole))


def _is_subject(word: str, kind: str) -> bool:
    if word in _GENERIC_ZH or word.startswith("每"):
        return False
    if len(word) == 1:
        return kind in ("n", "zg") and word not in _PARTICLES_ZH
    return bool(_NAMES_ZH.match(kind)) or (kind[0] == "v" and word not in _PLAIN_VERBS_ZH)
