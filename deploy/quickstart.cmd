@echo off
rem quickstart.cmd - from a Windows host to a node that serves clients, in one command.
rem Only what cmd.exe means alike on Windows and under Wine: no conditional command lists, no tools
rem that Wine lacks.
setlocal
set ROOT=%~dp0..
set LOGS=%ROOT%\build\logs\quickstart
set BIN=%ROOT%\build\windows\bin
set PREBUILT=
set ONCE=
set TALK=

:options
if "%~1"=="" goto start
if /i "%~1"=="--help" goto usage
if /i "%~1"=="-h" goto usage
if /i "%~1"=="--once" goto option_once
if /i "%~1"=="--prebuilt" goto option_prebuilt
if "%~1"=="--talk" goto option_talk
echo quickstart.cmd: unknown option "%~1"
call :help
exit /b 2
:option_once
set ONCE=yes
shift
goto options
:option_prebuilt
if "%~2"=="" goto prebuilt_missing
set PREBUILT=yes
set BIN=%~f2
shift
shift
goto options
:option_talk
rem What this script calls itself with: send the traffic beside the node in the foreground.
set TALK=%~2
shift
shift
goto options
:prebuilt_missing
echo quickstart.cmd: --prebuilt wants a folder
exit /b 2

:usage
call :help
exit /b 0

:help
echo usage: deploy\quickstart.cmd [--once] [--prebuilt FOLDER]
echo Installs what is missing (MSYS2 packages), builds Troupe, starts a node with the troupe-echo
echo example on one worker per core at 127.0.0.1:7777, sends checked traffic through it, says how to
echo talk to it, and stays up until Ctrl-C.
echo   --once             end after the traffic: exit code 0 when every byte came back right, else 1
echo   --prebuilt FOLDER  use the programs in FOLDER; needs no toolchain
echo MSYS2 is looked for in C:\msys64, or where MSYS2_ROOT says.
exit /b 0

:start
if not exist "%LOGS%" mkdir "%LOGS%"
if not "%TALK%"=="" goto talk
if "%PREBUILT%"=="yes" goto built
call "%ROOT%\deploy\windows\build.cmd" troupe troupe-gateway troupe-echo troupe-bench
if errorlevel 1 exit /b 1
:built
if not exist "%BIN%\troupe.exe" goto programs_missing
if not exist "%BIN%\troupe-bench.exe" goto programs_missing

rem A name for this run's files; %RANDOM% differs between two runs at once.
set NEWS=%LOGS%\ready-%RANDOM%%RANDOM%.txt
set LOG=%LOGS%\node.log
set LISTEN=127.0.0.1:7777
"%BIN%\troupe-bench.exe" --connect %LISTEN% --clients 0 --idle 1 --seconds 1 >nul 2>nul
if errorlevel 1 goto port_free
echo Port 7777 is taken, so the node takes a free one.
set LISTEN=127.0.0.1:0
:port_free
if "%ONCE%"=="yes" goto once

echo Starting a node; the traffic follows by itself.
start /b "" cmd /c "%~f0" --talk "%NEWS%" --prebuilt "%BIN%"
"%BIN%\troupe.exe" up --gateway.listen=%LISTEN% --admin.listen=off >"%NEWS%" 2>"%LOG%"
set RESULT=%ERRORLEVEL%
del "%NEWS%"
if "%RESULT%"=="0" goto stopped
type "%LOG%"
echo quickstart.cmd: the node ended with exit code %RESULT%; its log is "%LOG%"
exit /b 1
:stopped
echo Stopped.
exit /b 0

:once
start /b "" "%BIN%\troupe.exe" up --gateway.listen=%LISTEN% --admin.listen=off >"%NEWS%" 2>"%LOG%"
set TALK=%NEWS%
call :traffic
set RESULT=%ERRORLEVEL%
rem There is no way to hand Ctrl-C to a program that runs in the background. What the node started
rem ends with it.
if not "%SUPERVISOR%"=="" taskkill /f /pid %SUPERVISOR% >nul
if not "%RESULT%"=="0" exit /b 1
echo The node was ended.
exit /b 0

:talk
call :traffic
if errorlevel 1 exit /b 1
echo.
echo Talk to it, in another window (u16 little-endian size that counts itself, u16 id, body):
echo   "%BIN%\troupe-bench.exe" --connect %ADDRESS% --clients 100 --sizes 2-1000
echo By hand, a line a message: stop this node, start one that speaks lines, and use telnet:
echo   "%BIN%\troupe.exe" up --gateway.frame=line
echo   telnet 127.0.0.1 7777
echo.
echo Up until Ctrl-C.
exit /b 0

rem Waits for the ready line in the file that TALK names, then sends the traffic.
:traffic
set TRIES=0
set ADDRESS=
:wait
if not exist "%TALK%" goto wait_more
for /f "usebackq tokens=1-9" %%a in ("%TALK%") do call :ready %%a "%%b" "%%c" "%%d" "%%e"
if not "%ADDRESS%"=="" goto ready_now
:wait_more
set /a TRIES=TRIES+1
if %TRIES%==60 goto not_ready
ping -n 2 127.0.0.1 >nul
goto wait
:ready_now
echo A node serves at %ADDRESS%: one gateway, %WORKERS% workers that run troupe-echo.
echo   (its log: %LOGS%\node.log)
echo Traffic: 16 clients at once, each 25 frames with 0 bytes to the maximum after the id; every
echo byte that comes back is compared.
"%BIN%\troupe-bench.exe" --connect %ADDRESS% --clients 16 --frames 25 --sizes 2-65533
if errorlevel 1 goto traffic_wrong
exit /b 0
:not_ready
type "%LOGS%\node.log"
echo quickstart.cmd: the node did not become ready; its log is "%LOGS%\node.log"
exit /b 1
:traffic_wrong
echo quickstart.cmd: the traffic went wrong; see "%LOGS%\node.log"
exit /b 1

rem ready: "listen=..." "workers=..." "pid=..." "supervisor=..."
:ready
if not "%~1"=="ready:" exit /b 0
set WORD=%~2
set ADDRESS=%WORD:~7%
set WORD=%~3
set WORKERS=%WORD:~8%
set WORD=%~5
set SUPERVISOR=%WORD:~11%
exit /b 0

:programs_missing
echo quickstart.cmd: troupe.exe or troupe-bench.exe is missing in "%BIN%"
exit /b 1
