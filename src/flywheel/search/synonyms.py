"""General words that say the same in a question, English and Chinese.

A line is `tokens: wording | wording`; every wording becomes the tokens on the left. The words are
those of everyday life, driving and office work among it; a trade's own synonyms are not here. A
token's first character is its class:

    @  the kind of question          !  a negation
    ^  a word that turns the answer round or narrows it: it must be on both sides
    ~  a word that adds little

and all else is content. A line without tokens drops its wordings.
"""

COURTESIES_BEFORE = """
hi | hello | hey | hi there | hello there | dear all | good morning | good afternoon
good evening
hi all | hi team | hello all | hello everyone | hi everyone | please | pls | kindly | thanks
sorry
thank you | many thanks | thanks in advance | excuse me | quick question | one question
a question
just a question | i have a question | question | can you tell me | could you tell me | tell me
can someone tell me | could someone tell me | can you please tell me | could you please tell me
please tell me | would you tell me | can anyone tell me | does anyone know | do you know
any idea
do you happen to know | i would like to know | i want to know | i need to know | i wanted to ask
i want to ask | i was wondering | i am wondering | i wonder | wondering | just wondering
may i ask
can i ask | can you explain | could you explain | please explain | explain | can you show me
could you show me | i would like to ask | i wanted to know | would like to know | let me know
can you let me know | can you say | well | so | um | ok | okay | by the way | oh | and | also
do we know | do you have any idea | remind me | can you remind me | could you remind me | again
你好 | 您好 | 请问一下 | 请问 | 谢谢您 | 谢谢你 | 谢谢 | 多谢 | 麻烦问一下 | 麻烦问下 | 麻烦您
麻烦
我想问一下 | 我想问下 | 我想请问 | 我想问问 | 我想问 | 想问一下 | 想问下 | 想问问 | 想问 | 问一下
我想知道 | 想知道 | 请告诉我 | 告诉我 | 能告诉我 | 能不能告诉我 | 可以告诉我 | 您知道 | 你知道
知道
我想了解一下 | 我想了解 | 想了解一下 | 想了解 | 我想咨询一下 | 咨询一下 | 想咨询 | 请教一下 | 请教
请帮我看看 | 帮我看看 | 帮我查一下 | 帮我查 | 不好意思 | 打扰一下 | 打扰了 | 劳驾 | 在吗 | 亲
大家好
有谁知道 | 有人知道 | 谁知道 | 各位 | 请说明 | 说明一下 | 另外 | 对了 | 那个 | 请 | 早上好
下午好
"""
"""Greetings and wrappers: two questions that differ at the start by these alone are the same."""

COURTESIES_AFTER = """
please | pls | thanks | thank you | thx | many thanks | thanks a lot | thanks in advance | cheers
or not | by any chance | though | anyone | thank you very much | thanks so much | exactly | again
谢谢 | 谢谢了 | 多谢 | 谢谢您 | 谢谢大家 | 麻烦了 | 呢 | 啊 | 呀 | 吧 | 嘛 | 哦 | 啦
"""
"""The same for the end."""

ENGLISH_KINDS = """
@how: how does that work | how does it work | how do i do that | how is that done
@how: how | how to | in what way | in which way | what is the way to | what is the best way to
@how: what is the procedure for | what is the procedure to | what are the steps to | the steps for
@how: what are the steps for | what do i do to | what do i have to do to | what must i do to
@how: what should i do to | what is the process for | what is the process to | way to | ways to
@how: what is the right way to | what is the correct way to | instructions for | instruction for
@how: what is the proper way to | how do you go about | how do i go about | steps to | guide to
@how: what is the easiest way to | what do i need to do to | what steps | by what means
@todo: what do i do | what should i do | what to do | what do we do | what now | what next
@todo: what can i do
@todo: what must i do | what am i supposed to do | what should we do | how should i react
@todo: what do you do | what should one do | what are we supposed to do | how do i react
@todo: what do i have to do | what do i need to do | how do i deal with | how to deal with
@why: why | how come | for what reason | what is the reason | what causes | what is the cause
@why: what are the reasons | what could be the reason | what reason | what for | why on earth
@where: where | in which place | in what place | at which place | what is the location
@where: whereabouts | where can i find | where do i find | where to find | where is the location
@where: where can we find | where do we find | where could i find | where will i find
@where: location | in which location | what location | what place
@when ^latest: by when | until when | by what date | by which date | how late
@when ^latest: what is the deadline | what is the deadline for | when is the deadline
@when ^latest: what is the latest date | what is the cut off date | at the latest
@when @may: when can | when may | when could
@when @must: when must
@when: when is | when are | when do | when does | when did | when should
@when: when will | when has | when have | when was | when am | when to | when would
@when: what time | at what time | at which time | what date | on what date | what day | which day
@when: on which day | on what day | which date | at what point | what is the date | what hour
@who: who | whom | which person | what person | which people | whose
@price: how much is | how much are | how much does | how much do | what is the price
@price: what is the cost | what price | what are the costs | what does it cost | how expensive is
@price: what is the fee | how expensive are
@howmany ^maximum: what is the maximum number of | the maximum number of
@howmany ^maximum: maximum number of | at most how many
@howmany: how many | what number | what is the number | what quantity | how much | what amount
@howmany: what is the amount | the number
@howlong: how long | for how long | how much time | what is the duration | how many hours
@howlong: how many minutes | how many days | how many weeks | how many months | how many years
@howlong: what length of time | what is the length of time | how soon
@howoften: how often | how frequently | at what intervals | at which intervals | how regularly
@howoften: what interval | how many times | what is the interval | in what intervals | how regular
@what distance: how many kilometres | how many kilometers | how many km | how many miles
@what weight: how many kilos | how many kg | how many kilograms
@what thickness: how thick
@what strength: how strong
@what distance: how far | what distance | what is the distance
@what speed: how fast | what speed | how quickly | how quick | what is the speed
@what weight: how heavy | what weight | what is the weight | how much weight
@what height: how high | how tall | what height | what is the height
@what width: how wide | how broad | what is the width
@what depth: how deep | what depth | what is the depth
@what size: how big | how large | what size | which size | what is the size
@what temperature: how hot | how cold | how warm | what temperature | which temperature
@what age: how old | what age
@way: way | method | ways | right way | best way | correct way | good way | easiest way
@what: what | which | what kind of | which kind of | what type of | which type of | what sort of
@what: from what | from which | what is | which is | what are | which are | what are the
@what: which sort | what kind | what type
@what mean: what is the meaning of | what is meant by
@may: can | could | may | might | able | allowed | permitted | possible | am i allowed to
@may: permissible
@may: is it allowed to | is it okay to | is it ok to | is it all right to | is it alright to
@may: are we allowed to
@may: is it possible to | is it permitted to | permit | allow | is it fine to | is it okay if i
@may: ok | okay
@may: is it ok if i | am i permitted to | acceptable | alright | all right | is it fine if i
@may: fine to
@may: is it legal to | am i able to | is there a way to | is there any way to | are you allowed to
@may: is it ok for me to
@must ~need: need
@must: needed | require | required | requirement for
@must: must | have to | has to | need to | needs to | required to | is required | obliged to
@must: necessary | mandatory | compulsory | obligatory | got to | had to | is it necessary to
@must: do i have to | do i need to | is there a need to | obligated | requirement
@must: am i required to
@should: should | ought to | supposed to | recommended | advisable | better to
@should: is it advisable to
@should: recommend | is it a good idea to | is it recommended to | advised
@whether: is | are | am | do | does | did | was | were | will | would | has | have | whether | had
"""

ENGLISH_FUNCTION = """
a an the of to for in at by with on as it its this that these those there here i me my mine you
your yours we us our ours he him his she her hers they them their theirs be been being is are am
was were do does did done doing have has had having will would shall and or but if when while
than then so also just really actually simply properly correctly exactly about into onto upon
via per one ones work works perform handle handled manage scheduled someone somebody anybody
anyone person people let lets very quite rather such like want wants wanted wish try trying
order ever some any either own case thing things something anything normally usually generally
maybe perhaps currently now today's concerning regarding respect mean means
"""
"""Words without weight; `mean` is caught by its own line first."""

ENGLISH = """
return: return | bring back | give back | take back | send back | hand back | sent back
photo: photo | picture | image
document: document | paper | papers | documents
responsible: responsible | in charge | takes care of | take care of | looks after
fridge: fridge | refrigerator
deliver: ship | shipping | shipment
~keep: kept
~find: found
sell: sell | sold
choose: chose | chosen
drive: drove
write: write | wrote | written
steal: steal | stole | stolen
show: shown
throw: throw | thrown | threw
freeze: freeze | froze | frozen
wear: wore
eat: eat | ate | eaten
speak: speak | spoke | spoken
catch: catch | caught
teach: teach | taught
build: build | built
hear: hear | heard
stand: stand | stood
sleep: sleep | slept
consequence: consequence | consequences | what happens if | what happens when
photocopy: photocopy
simple: easy | simple
~correct: best | good | better
^self: on my own | by myself | alone | on your own | myself | yourself | by yourself | themselves
^self: by themselves | himself | herself | unaccompanied
~car: car | vehicle | automobile
~use: use | utilise | utilize | make use of | using
~find: find | locate | located | situated | sit | hidden | placed | hide
~company: company | firm | our company | business | office | organisation | organization | at work
~available: available | exist | there is | offered
~kind: kind | type | sort | model
~set: set
~know: know | tell | say
~take: take | taken
~put: put | place | bring | brought
~get: get | got | getting
~go: go | going | went
~make: make | making | made
~come: come | came
give: give | given | hand
~long: long | duration | time
~happen: happen | occur | what happens
~correct: correct | proper | prescribed
~system: system | function | feature | mode
~new: brand new
~rule: rule | rules | policy | regulation
~employee: employee | staff | worker | staff member | member of staff | employees
~see: see | look | read
~keep: keep
~permanent: always | permanently
^on: on
^off: off
~up: up
~down: down
^out: out
^in: inside | indoors | indoor
^outside: outside | outdoors | outdoor | external
switch: switch | turn | power
switch ^on: activate | enable | turn on | switch on | power on | put on | engage
switch ^off: deactivate | disable | turn off | switch off | power off | shut off | shut down
^front: front | fore | forward
^rear: rear | back
^left: left | left hand | left side
^right: right hand | right side
^before: before | prior to | ahead of | in advance
^after: after | afterwards | following
^until: until | till | up to
^since: since
^during: during | while driving
^from: from
^over: over | above | more than | beyond | exceed | exceeding
^under: under | below | less than | beneath | underneath
^between: between
^only: only | solely | exclusively
^all: all | every | each | whole | entire
^both: both
^other: other | another | different | else
^more: more | additional | extra | further
^less: less | fewer
^again: again | once more
~yet: yet | already | still
^first: first | 1st
^second: 2nd
^last: last
^next: next
^same: same
^instead: instead | rather than
^except: except | besides | apart from
^maximum: maximum | max | highest | top | greatest | upper | at most | maximal | most
^maximum: no more than
^minimum: minimum | min | lowest | least | at least | minimal | no less than
^high: high | higher
^low: low | lower
^early: early | earlier | in advance
^late: late | later
^fast: fast | quick | quickly | rapid | faster | quicker
^slow: slow | slowly | slower
^hot: hot
^cold: cold
^warm: warm
^full: full | fully | completely | complete
^empty: empty
^old: old
^with: together with | along with
^inside_out: inside out
^self: automatic | automatically | by itself | itself | on its own | on their own
^manual: manually | by hand
!not: not | no | never | none | nobody | nothing | neither | nor | cannot | without | no longer
!not: unable to | no one | lack | lacking | fail to | fails to
~day: day | days
^monday: monday | mon | mondays
^tuesday: tuesday | tue | tuesdays
^wednesday: wednesday | wed | wednesdays
^thursday: thursday | thu | thursdays
^friday: friday | fri | fridays
^saturday: saturday | sat | saturdays
^sunday: sunday | sun | sundays
^weekend: weekend | weekends
^kmh: km h | kmh | kph | kilometres per hour | kilometers per hour | km per hour
^km: km | kilometre | kilometer | kms
^mile: mile
^metre: m | metre | meter
^cm: cm | centimetre | centimeter
^mm: mm | millimetre | millimeter
^kg: kg | kilo | kilogram | kilogramme | kgs
^litre: l | litre | liter
^volt: v | volt
^kilowatt: kw | kilowatt
^minute: min | minute | mins
^hour: hour | hr | hrs
^seconds: sec | seconds | secs
^percent: percent | per cent
^degree: degree | degrees | celsius
^week: week
^month: month
^year: year | annual | annually | yearly
change: change | replace | swap | exchange | renew | replacement | substitute
adjust: adjust | alter | modify | configure | adjustment | readjust
buy: buy | purchase | bought
~behind: behind
begin: begin | start | commence | begun | began
stop: stop | quit | halt
end: end | finish | ended | over with
repair: repair | fix | mend | repaired
broken: broken | damaged | defective | faulty | broke | defect | out of order | not working
fit: fit | mount | install | attach | fitted | installation
remove: remove | detach | take off | get off | removal | take out
delete: delete | erase | wipe out | get rid of
big: big | large
small: small | little
check: check | inspect | examine | verify | inspection | test | look at
clean: clean | cleaning
fill: fill | refill | top up | fill up
pull: pull | tow | towing
report: report | inform | notify | notification
submit: submit | hand in | turn in | send in | file | submitted | hand over
apply: apply | request | apply for | application | ask for | put in for
refund: refund | reimburse | reimbursement | pay back | money back | reimbursed | claim back
refund: get back the money
approve: approve | approval | authorise | authorize | sign off on | permission | consent
approve: authorisation
reserve: reserve | book | reservation | booking
cancel: cancel | terminate | call off | cancellation
postpone: postpone | put off | reschedule | push back
extend: extend | prolong | extension
contact: contact | reach | reach out to | get in touch with | get hold of | speak to | talk to
contact: turn to
boss: boss | manager | line manager
colleague: colleague | coworker | co worker | team mate | teammate
customer: customer | client
guest: guest | visitor
newcomer: newcomer | new hire | new starter | new employee | new joiner | new colleague
leave: holiday | vacation | annual leave | day off | days off | leave | time off | holidays
sick: sick | ill | unwell | illness | sickness
sicknote: sick note | doctors note | medical certificate | sick certificate | doctor note
pay: pay | paid | payment | paying
salary: salary | wage | wages | pay cheque | paycheck | pay check | payroll
payslip: payslip | pay slip | salary slip
invoice: invoice | bill
price: price | cost | fee | costs
expense: expense | expenses | spending
^latest: deadline | due date | cut off date | latest date | time limit | due | latest
overtime: overtime | extra hours | additional hours
homework: work from home | home office | work remotely | remote work | telework
homework: working from home | wfh | work at home | remote working
login: log in | login | sign in | log on | sign on | logon
logout: log out | logout | sign out | log off
password: password | passcode
wifi: wifi | wi fi | wireless network | wlan | wireless
email: email | e mail | mail
mobile: phone | mobile | smartphone | mobile phone | cell phone | cellphone | telephone
laptop: laptop | notebook | laptop computer
computer: computer | pc
screen: screen | monitor
copier: photocopier | copier | copy machine | photocopy machine
restart: restart | reboot
connect: connect | link up | pair | hook up | connection | link
lose: lose | lost | misplace | missing | loss
broke: go wrong
forget: forget | forgot | forgotten
badge: badge | access card | key card | entry card | keycard | pass
parcel: parcel | package
deliver: deliver | delivery
bicycle: bicycle | bike
child: child | kid | children
drive: drive | driving | driven
trip: trip | journey
motorway: motorway | highway | freeway | autobahn
parkinglot: car park | parking lot | parking garage
parkingspace: parking space | parking spot | parking place | parking bay
lift: elevator | lift
rubbish: rubbish | trash | garbage | waste
boot: boot | trunk
bonnet: bonnet | hood
windscreen: windscreen | windshield
petrol: petrol | gasoline | gas
tyre: tyre | tire
indicator: indicator | turn signal | blinker
numberplate: number plate | licence plate | license plate
spanner: spanner | wrench
lorry: lorry | truck
aircon: air conditioning | ac | air con | air conditioner | aircon
steeringwheel: steering wheel
handbrake: handbrake | parking brake | hand brake
seatbelt: seat belt | seatbelt | safety belt
sparewheel: spare wheel | spare tyre | spare tire
satnav: satnav | sat nav | navigation | navigation system | gps
key: key | fob | key fob
lamp: lamp | light | lights
headlamp: headlamp | headlight
warn: warn | warning | alert
message: message | notice
mean mean_of: mean | stand for | signify | indicate | meaning
warranty: warranty | guarantee | guaranteed
service: service | maintenance | servicing
workshop: workshop | garage
pressure: pressure
charge: charge | recharge | charging
chargingstation: charging station | charging point | charger
battery: battery | batteries
accident: accident | crash | collision
emergency: emergency
trailer: trailer
luggage: luggage | baggage
wash: wash | washing
carwash: car wash | carwash
wear: wear | worn
often: often | frequent | frequently
lunch: lunch | lunch break
meeting: meeting
meetingroom: meeting room | conference room
training: training | course
resign: resign | hand in my notice | give notice | quit my job | quit the job
contract: contract | agreement
probation: probation | probationary period | trial period | probation period
travel: travel | travelling | traveling
businesstrip: business trip | work trip | business travel | work travel
hotel: hotel | accommodation
carryover: carry over | roll over | carried over | carry forward | transfer to next year
carryover: take over into
confidential: confidential | secret
printer: printer
print: print
store: store | storage | stored | save | saved
limit: limit | cap
choose: choose | select | pick
show: show | display | appear
lock: lock | locked
unlock: unlock
open: open | opened
close: close | shut | closed
raise: raise | increase
lower: lower_it | reduce | decrease
press: press | push
join: join | participate in | take part in | attend
send: send | forward | sent
receive: receive
heat: heat | heating | heater
cool: cool | cooling
ask: ask
depart: depart | departure
arrive: arrive | arrival
noise: noise | sound
bright: bright | brightness
illness: disease
scratch: scratch | scratched
leak: leak | leaking
reverse: reverse | reversing | back up
accelerate: accelerate | speed up
recognise: recognise | recognize | spot | identify
insurance: insurance | insured
gift: gift | present
supplier: supplier | vendor
stationery: stationery | office supplies
mileage: mileage | odometer | odometer reading
mist: misted | fogged | fogged up | steamed up | demist | defog | misted up | misty
ice: iced | iced up | frozen over | defrost | de ice
tight: tight | tighten | torque | tightening torque
expire: expire | run out | runs out
valid: valid | validity
volume: volume | capacity
purpose: purpose | used for | good for
free: free | free of charge | gratis | at no charge
stuck: stuck | jammed | blocked | jam
flash: flash | blink | flashing
reception: reception | front desk
canteen: canteen | cafeteria
hr: hr | human resources | personnel
helpdesk: helpdesk | it department | it support | service desk | help desk
department: department
amount: amount | sum
confirmation: certificate | confirmation
toilet: toilet | restroom | bathroom | washroom
publicholiday: public holiday | bank holiday
dailyallowance: daily allowance | per diem
taxi: taxi | cab
rent: rent | hire | rental
sign: sign | signature
toner: toner | ink | cartridge
cable: cable | cord
extensioncable: extension cable | extension lead | extension cord
outlet: socket | outlet | power point
selector: selector | rotary selector | gear selector | gear lever
dashboard: dashboard | dash | instrument panel | instrument cluster
headrest: headrest | head restraint
cabinfilter: cabin filter | pollen filter
washerfluid: washer fluid | screen wash | windscreen washer fluid | screenwash
engineoil: engine oil | motor oil
coolant: coolant | antifreeze
wheelbolt: wheel bolt | wheel nut | lug nut
flattyre: flat tyre | puncture | punctured | flat
towbar: tow ball | tow bar | tow hitch | towbar | towball
snowchain: snow chain | tyre chain
wintertyre: winter tyre | snow tyre
dashcam: dash camera | dashcam | dash cam
lanekeeping: lane keeping | lane assist | lane keeping assist | lane keeping assistant
parkingaid: parking aid | parking assistant | parking sensor | park assist | parking assist
highbeam: high beam | full beam | main beam
lowbeam: low beam | dipped beam
chargelevel: charge level | state of charge | charging level | level of charge
fastcharger: fast charger | rapid charger | dc charger | quick charger
wallbox: wallbox | wall box | home charger
childseat: child seat | baby seat | car seat | child restraint
childlock: child lock | child safety lock
firstaid: first aid box | first aid kit
dispose: dispose | throw away | dispose of | get rid | disposal
permitto: licence | license
"""

CHINESE_KINDS = """
@todo: 怎么办 | 该怎么办 | 应该怎么办 | 怎么处理 | 如何处理 | 该怎么处理 | 应该怎么处理 | 怎样处理
@todo: 该如何处理 | 咋办 | 该做什么 | 应该做什么
@todo: 应该如何处理 | 要怎么处理 | 怎么应对 | 如何应对 | 该咋办 | 咋处理 | 要怎么办 | 需要怎么处理
@why: 为什么会 | 为什么 | 为何 | 为啥 | 怎么会 | 什么原因 | 怎么回事 | 是何原因 | 原因是什么
@why: 的原因 | 何故 | 咋回事 | 是什么原因
@where: 在哪里 | 在哪儿 | 在哪 | 在什么地方 | 在什么位置 | 哪里 | 哪儿 | 何处 | 什么地方
@where: 哪个位置 | 什么位置 | 位于哪里 | 位于何处 | 位置在哪 | 到哪里 | 去哪里 | 去哪儿 | 去哪
@where: 到哪儿 | 到哪 | 上哪 | 上哪儿 | 哪个地方 | 在何处
@when: 什么时候 | 何时 | 几点 | 哪天 | 哪一天 | 啥时候 | 什么时间 | 什么日期
@when: 几月几号 | 几点钟 | 哪个时间 | 多早 | 啥时间
@who 联系: 找谁 | 联系谁 | 问谁 | 向谁
@who: 谁 | 哪位 | 什么人 | 哪个人 | 何人 | 哪个同事 | 由谁
@once: 一次 | 每次
@price: 多少钱 | 什么价格 | 什么价 | 价格是多少 | 费用是多少 | 费用多少 | 价格多少 | 要花多少钱
@price: 收费多少 | 怎么收费 | 如何收费 | 几块钱 | 收多少钱 | 多少费用
@howoften: 多久一次 | 多长时间一次 | 多久要 | 每隔多久 | 隔多久 | 几年一次 | 几个月一次 | 多久需要
@howoften: 每多久 | 频率是多少 | 频率 | 间隔多久 | 间隔多长时间 | 多少公里一次 | 每隔多长时间
@howoften: 隔多长时间 | 隔几天 | 隔几年
@howoften: 周期是多久 | 周期多长 | 周期是多长
@howlong: 多久 | 多长时间 | 几天 | 几小时 | 几个小时 | 多少天 | 几个月 | 几分钟 | 几年 | 多少时间
@howlong: 多少年 | 多少个月 | 多少小时 | 多少分钟 | 时长是多少 | 时间多长 | 几个工作日
@howlong: 多少个工作日 | 多长
@howmany 距离: 多远 | 多少公里 | 几公里 | 距离是多少 | 多大距离
@howmany 速度: 多快 | 速度多少 | 速度是多少 | 时速多少 | 车速多少
@howmany 重量: 多重 | 重量是多少 | 多少公斤 | 多少千克
@howmany 高度: 多高 | 高度是多少
@howmany 深度: 多深 | 深度是多少
@howmany 尺寸: 多大尺寸 | 什么尺寸 | 什么规格 | 规格是什么 | 哪种规格 | 多大 | 尺寸是多少
@howmany 尺寸: 规格是多少
@howmany 宽度: 多宽
@howmany: 几名 | 几台 | 几把 | 几份 | 几张 | 几辆 | 几间 | 几条 | 几只 | 几件 | 几本 | 几位 | 几人
@howmany: 几项 | 几级 | 多少名 | 多少台 | 多少把 | 多少份 | 多少张 | 多少辆 | 多少间 | 多少条
@howmany: 多少只 | 多少件 | 多少本 | 多少位 | 多少人 | 多少项 | 多少级
@howmany: 号码是什么 | 编号是什么 | 密码是什么 | 号码是多少 | 号码
@howmany: 多少个 | 多少次 | 多少 | 几个 | 几次 | 几名 | 几位 | 几 | 是多少 | 数量 | 几把 | 几台
@howmany: 几份 | 多少份
@what: 哪种型号 | 什么型号 | 哪种类型 | 什么类型 | 哪一类 | 什么种类 | 哪个型号 | 型号
@what: 什么样的 | 什么 | 哪些 | 哪个 | 哪种 | 哪款 | 哪一个 | 哪一种 | 啥 | 何种 | 哪一款 | 哪几种
@what: 哪 | 是什么 | 哪家 | 什么样
@what mean: 什么意思 | 是什么意思 | 代表什么 | 表示什么 | 意味着什么 | 什么含义 | 含义是什么
@what mean: 是啥意思 | 啥意思 | 说明什么 | 是指什么 | 指的是什么 | 表示什么意思 | 代表什么意思
@how: 怎么样 | 怎么才能 | 怎么做才能 | 怎么 | 怎样才能 | 怎样 | 如何才能 | 如何 | 咋 | 要怎么
@how: 该怎么 | 应该怎么 | 应该如何 | 该如何 | 的方法 | 的步骤 | 方法是什么 | 步骤是什么 | 的办法
@how: 有什么办法 | 有什么方法 | 用什么方法 | 怎么弄 | 怎么操作 | 如何操作 | 怎样操作 | 怎么做
@how: 的流程 | 流程是什么 | 流程是怎样的 | 步骤是怎样的 | 的操作方法 | 的操作步骤 | 方法 | 步骤
@how: 流程 | 的正确方法 | 怎么样才能 | 咋样 | 通过什么方式 | 什么流程 | 走什么流程 | 怎么个
@may: 能不能 | 能否 | 可否 | 可不可以 | 可以 | 允许 | 行吗 | 行不行 | 准许 | 是否可以 | 是否允许
@may: 能够 | 能 | 让不让 | 可以不可以 | 可 | 许可 | 是否能 | 是否能够 | 好不好 | 允不允许
@may: 没问题吗
@must: 要不要 | 需不需要 | 是否需要 | 用不用 | 是否必须 | 必须 | 必需 | 一定要 | 非得 | 必要
@must: 有必要 | 有没有必要 | 需要 | 须 | 是不是要 | 是不是必须 | 是不是一定要 | 是否要 | 务必
@must: 强制
@should: 应该 | 应当 | 该不该 | 应不应该 | 建议 | 最好 | 推荐 | 应 | 该
@whether: 是不是 | 是否 | 有没有 | 有无 | 会不会 | 吗 | 么 | 算不算 | 对不对 | 是否有 | 有没
@whether: 是否会
: 有 | 会 | 由
@must: 需
"""

CHINESE = """
: 一张 | 一把 | 一台 | 一份 | 一间 | 一辆 | 一位 | 一条 | 一件 | 一本 | 一种 | 一些 | 一直 | 一起
: 走 | 人员 | 成功 | 顺利 | 立即 | 马上 | 赶紧 | 及时 | 一共 | 总共 | 每次都 | 老是 | 总是 | 具体的
~子: 子 | 面 | 色 | 员
抽烟: 抽烟 | 吸烟
坐: 乘 | 搭乘
吃: 吃 | 服用
送: 送达 | 送到
灯: 指示灯
后果: 后果 | 会怎么样 | 会怎样
怎么算: 怎么算 | 收费标准 | 如何计算
保存: 保留
电话: 热线
照片: 照片 | 图片
材料: 材料 | 资料
: 掉 | 好 | 完 | 成 | 让 | 使 | 过 | 过程中 | 期间 | 才能 | 一般情况下 | 具体 | 部 | 辆 | 台
取消: 解除
改: 修改 | 更改 | 改 | 变更
选: 选择 | 选 | 挑选
付: 支付 | 付款 | 付费 | 付 | 缴费 | 交费 | 结账
登记: 登记 | 注册
带: 携带 | 带
收: 收到 | 接收 | 收取 | 收
送: 赠送 | 送
额度: 额度 | 金额 | 限额
去除: 去除 | 除掉 | 清除 | 除 | 去掉 | 除去
调出: 调出
声音: 声音 | 声 | 声响
辅助: 辅助
充满: 充满
作用: 作用 | 有什么用 | 用途 | 干什么用 | 有啥用 | 用处
影响: 影响
支持: 支持
重要: 重要
里程: 里程 | 公里数
打: 拨打 | 打
招待: 招待
按: 按下 | 按 | 按住 | 按到
误: 误 | 不小心 | 错误 | 意外
油耗: 油耗 | 耗油
转正: 转正
提前: 提前
延误: 延误
卡住: 卡住 | 卡死 | 死机 | 卡 | 卡顿
缩短: 缩短
冬: 冬天 | 冬季 | 天冷 | 寒冬 | 天冷的时候
夏: 夏天 | 夏季 | 天热 | 炎夏
春: 春天 | 春季
秋: 秋天 | 秋季
国外: 国外 | 外国 | 境外 | 海外 | 出国
!不: 缺 | 缺少 | 用完
~位置: 位置 | 地点 | 地方
起雾: 起雾 | 有雾 | 雾气 | 除雾
快充: 快充 | 直流快充 | 快速充电 | 直流充电
制动液: 制动液 | 刹车油 | 刹车液
冷却液: 冷却液 | 防冻液
玻璃水: 玻璃水 | 洗涤液 | 清洗液
续航: 续航 | 续航里程 | 续驶里程
儿童锁: 儿童锁 | 儿童安全锁
急救箱: 急救箱 | 急救包 | 医药箱
酒店: 酒店 | 宾馆 | 住宿
礼物: 礼物 | 礼品
打车: 打车 | 出租车
签: 签字 | 签署 | 签 | 签名
软件: 软件 | 程序
采购: 采购 | 订购
证明: 证明
^有效: 有效期 | 保质期
: 的 | 了 | 是 | 我们 | 我的 | 我 | 你们 | 你 | 您 | 咱们 | 咱 | 他们 | 他 | 她 | 它 | 就 | 着
: 地 | 得 | 一下 | 一个 | 这个 | 这 | 该车 | 那 | 都 | 也 | 要 | 想要 | 想 | 把 | 将 | 被 | 在
: 于 | 给 | 用 | 进行 | 做 | 去 | 来 | 到底 | 究竟 | 还是 | 时候 | 时 | 的时候 | 当 | 如果 | 的话
: 若 | 要是 | 假如 | 如 | 以 | 为 | 之 | 其 | 所 | 而 | 且 | 和 | 与 | 及 | 跟 | 或者 | 或 | 才
: 那么 | 呗 | 打算 | 准备 | 一般 | 通常 | 平时 | 平常 | 具体 | 正确 | 算 | 个 | 种 | 上面 | 情况下
: 情况 | 人 | 常常 | 经常 | 才行 | 该怎 | 之类 | 一直 | 问题 | 对 | 关于 | 有关 | 最近 | 现在
: 目前 | 出现 | 发生 | 有什么
~车: 车辆 | 汽车 | 爱车 | 车子 | 车 | 本车 | 我的车 | 这辆车 | 这车
~公司: 公司 | 本公司 | 单位 | 我司 | 咱公司 | 公司里 | 公司的
~使用: 使用 | 运用 | 利用
~找: 找到 | 找 | 放 | 存放 | 放置 | 位于 | 装
~规定: 规定 | 要求 | 标准 | 规则 | 制度
~功能: 功能 | 系统 | 模式
~员工: 员工 | 职工 | 职员
~新: 全新
~时间: 时间 | 期限 | 时长
~进: 进 | 进去 | 进来
领: 拿 | 领取 | 领 | 取
~大概: 大概 | 大约 | 差不多 | 左右
~里: 里面 | 里 | 中 | 内部
~出: 出 | 出来 | 出去 | 外出
~手续: 手续
~知道: 知道
~放: 放
~弄: 弄 | 搞
~提供: 提供
~办: 办理 | 办 | 处理 | 负责
!不 ^开: 打不开 | 开不了 | 不能打开 | 无法打开
!不: 不能 | 不可以 | 不可 | 无法 | 没法 | 不会 | 不 | 没有 | 没 | 无 | 非 | 未 | 勿 | 别 | 莫
!不: 禁止 | 不准 | 不许 | 不得 | 不要 | 不用 | 不必 | 无需 | 不需要 | 不了 | 免
^非常: 非常
特别: 特别
^别人: 别人 | 他人 | 旁人 | 其他人 | 别的人
^其他: 其他 | 其它 | 别的 | 另外的 | 另一个 | 另一
区别: 区别 | 差别 | 不同 | 有何不同 | 差异 | 不一样
识别: 识别
级别: 级别
^前: 前面 | 前 | 前方 | 前部
^后: 后面 | 后 | 后方 | 后部
^之前: 之前 | 以前 | 前先
^之后: 之后 | 以后 | 完以后 | 完之后 | 过后
^左: 左 | 左侧 | 左边
^右: 右 | 右侧 | 右边
^上: 上方 | 以上 | 超过 | 高于 | 大于
~上: 上 | 上来 | 上去 | 起来 | 起
上班: 上班
上午: 上午
晚上: 晚上 | 夜里 | 夜间
~下: 下来 | 下去
^下: 下 | 下方 | 以下 | 低于 | 小于 | 不到
~里: 内
^内: 以内 | 之内 | 室内
^外: 外 | 以外 | 室外 | 户外 | 外面 | 外部
^开: 启动 | 起动 | 发动 | 点火 | 开 | 打开 | 开启 | 启用 | 激活 | 开通 | 接通
^关: 关 | 关闭 | 关掉 | 停用 | 禁用 | 关上 | 切断
^大: 大
^小: 小
^高: 高
^低: 低
^快: 快
^慢: 慢
^长: 长
^短: 短
^冷: 冷
^热: 热
^新: 新
^旧: 旧
^早: 早
^晚: 晚 | 迟
^多: 多
^少: 少
^满: 满 | 充满
^空: 空
^只: 只 | 仅 | 只有 | 仅仅 | 只能
^全: 全部 | 所有 | 每个 | 全 | 每
^最大: 最大 | 最高 | 最多 | 上限 | 至多 | 不超过
^最小: 最小 | 最低 | 最少 | 下限 | 至少
^最长: 最长
^最早: 最早
^最晚: 最晚 | 最迟 | 截止 | 截止日期 | 截止时间
^再: 再 | 重新 | 再次 | 又
~还: 还能 | 还要 | 还可以 | 还会 | 还有 | 还
归还: 还到 | 还给
~已: 已经 | 已
^从: 从
~到: 到 | 至
^比: 比
^先: 先
^首次: 首次 | 第一次 | 头一次
^上次: 上次
^下次: 下次
^自: 自动 | 自己 | 自行 | 独自 | 单独
^手动: 手动 | 人工
^周一: 周一 | 星期一 | 礼拜一
^周二: 周二 | 星期二 | 礼拜二
^周三: 周三 | 星期三 | 礼拜三
^周四: 周四 | 星期四 | 礼拜四
^周五: 周五 | 星期五 | 礼拜五
^周六: 周六 | 星期六 | 礼拜六
^周日: 周日 | 星期日 | 星期天 | 礼拜天 | 周天
^周末: 周末
^每周: 每周 | 每星期 | 一周 | 一星期 | 一个星期 | 每个星期 | 一个礼拜
^每月: 每月 | 每个月 | 一个月 | 单月
^每年: 每年 | 一年 | 年度
^每天: 每天 | 每日 | 一天 | 一日
^今年: 今年
^明年: 明年 | 下一年 | 来年 | 第二年 | 次年
^去年: 去年
^当天: 当天 | 当日
^次日: 次日 | 第二天
^kmh: 公里每小时 | 公里小时
^km: 公里 | 千米
^metre: 米
^cm: 厘米
^mm: 毫米
^kg: 公斤 | 千克
^litre: 升
^volt: 伏 | 伏特
^kilowatt: 千瓦
^minute: 分钟
^hour: 小时 | 钟头
^seconds: 秒 | 秒钟
^percent: 百分之
^degree: 度 | 摄氏度
^元: 元 | 块钱 | 块
^天: 天
^年: 年
^月: 月
换: 更换 | 换 | 替换 | 调换 | 换新
换成: 换成 | 改成 | 换为 | 改为
修: 维修 | 修理 | 修 | 修复 | 检修
坏: 坏了 | 损坏 | 故障 | 坏 | 坏掉 | 出故障 | 出问题 | 失灵
停: 停止 | 停 | 停下
开始: 开始
结束: 结束 | 完成
安装: 安装 | 加装
拆: 拆卸 | 拆 | 卸下 | 拆下 | 取下
检查: 检查 | 查看 | 检测 | 查 | 看 | 查询
清洁: 清洁 | 清洗 | 打扫 | 清理 | 擦洗 | 擦
洗: 洗
加: 添加 | 加 | 补充 | 加注
充电: 充电 | 充 | 充上电
亮: 亮起 | 点亮 | 亮 | 亮了 | 闪亮
买: 购买 | 买 | 选购 | 购
提交: 提交 | 上交 | 交 | 递交 | 交给
申请: 申请 | 请求
报销: 报销 | 报账 | 报
批准: 批准 | 审批 | 审核 | 批 | 同意 | 签批
预订: 预订 | 预定 | 预约 | 订 | 约
取消: 取消 | 撤销 | 作废 | 退掉 | 退订
推迟: 推迟 | 延期 | 延后
联系: 联系 | 联络
通知: 通知 | 告知 | 告诉 | 报告 | 汇报 | 上报
丢: 丢失 | 丢了 | 丢 | 遗失 | 弄丢 | 不见了 | 找不到
忘: 忘记 | 忘了 | 忘 | 忘掉
上司: 上司 | 领导 | 经理 | 主管 | 老板
同事: 同事
客户: 客户 | 顾客
访客: 访客 | 来访者 | 来访人员 | 客人 | 来宾
新人: 新员工 | 新人 | 新同事 | 新入职的员工 | 新来的同事
入职: 入职 | 报到
辞职: 辞职 | 离职
年假: 年假 | 年休假 | 带薪年假
请假: 请假 | 休假
病假: 病假
事假: 事假
生病: 生病 | 病了
病假条: 病假条 | 诊断证明 | 医院证明 | 病假证明
工资: 工资 | 薪水 | 薪资 | 薪酬
工资条: 工资条 | 工资单
发: 发放 | 发 | 发下来
加班: 加班
调休: 调休 | 补休
居家: 在家办公 | 居家办公 | 远程办公 | 在家上班 | 居家上班 | 在家工作
出差: 出差 | 差旅
上班: 上班 | 工作
下班: 下班
迟到: 迟到
打卡: 打卡 | 考勤
密码: 密码 | 口令
登录: 登录 | 登陆 | 登入
网络: 网络 | 网
无线: 无线网 | 无线网络 | wifi
邮箱: 邮箱 | 邮件 | 电子邮件
手机: 手机 | 移动电话
电话: 电话
电脑: 电脑 | 计算机
笔记本: 笔记本电脑 | 笔记本
打印: 打印
复印机: 复印机
会议室: 会议室
门禁卡: 门禁卡 | 门卡 | 工卡 | 工牌
停车位: 停车位 | 车位
停车: 停车 | 泊车
快递: 快递 | 包裹
午休: 午休 | 午间休息 | 中午休息 | 午餐休息
食堂: 食堂 | 餐厅 | 饭堂
垃圾: 垃圾 | 废物
发票: 发票
合同: 合同 | 协议
试用期: 试用期
费用: 费用 | 花费 | 开销 | 费
后备箱: 后备箱 | 行李厢 | 行李箱 | 尾箱
发动机盖: 发动机盖 | 引擎盖 | 前盖 | 机盖
发动机: 发动机 | 引擎
挡风玻璃: 挡风玻璃 | 风挡 | 风挡玻璃 | 挡
^前 挡风玻璃: 前挡 | 前挡风 | 前挡风玻璃 | 前风挡
雨刮: 雨刮器 | 雨刮 | 雨刷 | 雨刷器
雨刮片: 雨刮片 | 雨刷片
方向盘: 方向盘
轮胎: 轮胎 | 车胎 | 胎
胎压: 胎压 | 轮胎气压 | 轮胎压力 | 轮胎的气压 | 气压 | 胎的气压
扎: 扎钉 | 扎了钉子 | 扎到钉子 | 被扎 | 扎破 | 扎
备胎: 备胎 | 备用轮胎 | 备用胎
驾驶: 驾驶 | 开车 | 行驶
儿童: 儿童 | 孩子 | 小孩 | 宝宝 | 小朋友
座椅: 座椅 | 座位
儿童座椅: 儿童座椅 | 儿童安全座椅 | 安全座椅
安全带: 安全带
空调: 空调 | 冷气
手刹: 手刹 | 驻车制动
刹车: 刹车 | 制动
高速: 高速公路 | 高速路
导航: 导航
屏幕: 屏幕 | 显示屏 | 屏
中控屏: 中控屏 | 中控屏幕 | 大屏 | 中控显示屏
警告灯: 警告灯 | 警示灯 | 故障灯 | 报警灯
钥匙: 钥匙 | 遥控器 | 车钥匙 | 遥控钥匙
没电: 没电 | 没电了 | 电量耗尽 | 电用完了 | 亏电
电池: 电池
牌照: 牌照 | 车牌
保养: 保养
质保: 质保 | 保修 | 质量保证
维修店: 维修店 | 修理厂 | 服务中心 | 维修站 | 4s店
事故: 事故 | 车祸 | 碰撞
救援: 救援
拖车: 拖车 | 拖挂车 | 挂车
行李: 行李
调: 调节 | 调整 | 调 | 设置 | 设定 | 设
连接: 连接 | 连 | 连上 | 配对 | 接上
重启: 重启 | 重新启动
显示: 显示 | 提示
更新: 更新 | 升级
删除: 删除 | 删掉 | 删
保存: 保存 | 储存 | 留存 | 存 | 记忆 | 存储
解锁: 解锁 | 开锁
锁: 上锁 | 锁 | 锁上 | 闭锁 | 锁定
坐: 坐 | 乘坐
参加: 参加 | 出席
培训: 培训 | 课程
补贴: 补贴 | 补助 | 津贴
借: 借 | 借用
归还: 归还 | 还给 | 退还
延长: 延长
剩: 剩余 | 剩下 | 没用完 | 未用完 | 剩
结转: 结转 | 转到 | 留到 | 顺延到
保密: 保密 | 机密
丢弃: 丢弃 | 扔 | 扔掉 | 丢到 | 丢进 | 扔到 | 扔进 | 投放
千斤顶: 千斤顶
三角: 三角
统一: 统一
唯一: 唯一
一定: 一定
一样: 一样
: 万一
"""
