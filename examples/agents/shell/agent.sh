#!/bin/sh
# Plays thinkact/PythonTask-v0, level 0: "Write f(x): multiply by 45. f(3)=135 f(2)=90".
while IFS= read -r line; do
  case $line in
  '{"type":"hello"'*)
    echo '{"type":"ready"}'
    ;;
  '{"type":"act"'*)
    id=${line#*'"id":"'}
    id=${id%%'"'*}
    task=${line#*'"task":"'}
    task=${task%%. f(*}
    case $task in
    'Write f(x): '*) ;;
    *) echo '{"type":"action","id":"'"$id"'","error":"not a task for me"}' && continue ;;
    esac
    number=${task##* }
    case $task in
    *'multiply by'*) value="x * $number" ;;
    *'subtract it from'*) value="$number - x" ;;
    *'subtract'*) value="x - $number" ;;
    *) value="x + $number" ;;
    esac
    call='{"name":"submit","arguments":{"code":"def f(x): return '$value'"}}'
    echo '{"type":"action","id":"'"$id"'","thought":"a rule: '"$value"'","calls":['"$call"']}'
    ;;
  esac
done
